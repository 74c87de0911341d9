package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc"
)

// Of CommandMessage; the responses have their status in field 1.
const (
	commandField     = 1
	identifierField  = 2
	commandDataField = 4
	success          = 1
)

// anycable is the application's side of its RPC: who connects is let in, who subscribes hears the stream "bench", and what
// is performed is transmitted back. A broadcast is POSTed to its HTTP endpoint.
func anycable(api string) *grpc.ServiceDesc {
	connect := func(context.Context, []byte) ([]byte, error) {
		return join(numberField(1, success), bytesField(2, []byte("{}")), bytesField(3, []byte(`{"type":"welcome"}`))), nil
	}
	command := func(_ context.Context, request []byte) ([]byte, error) {
		identifier, _ := json.Marshal(string(field(request, identifierField)))
		if string(field(request, commandField)) == "subscribe" {
			confirmed := fmt.Appendf(nil, `{"identifier":%s,"type":"confirm_subscription"}`, identifier)
			return join(numberField(1, success), bytesField(4, []byte("bench")), bytesField(5, confirmed)), nil
		}
		data := field(request, commandDataField)
		switch {
		case bytes.HasPrefix(data, []byte(`{"action":"slow"`)):
			time.Sleep(slowTime)
		case bytes.HasPrefix(data, []byte(`{"action":"cast"`)):
			if err := publish(api, data); err != nil {
				return nil, err
			}
		}
		transmission := fmt.Appendf(nil, `{"identifier":%s,"message":%s}`, identifier, data)
		return join(numberField(1, success), bytesField(5, transmission)), nil
	}
	disconnect := func(context.Context, []byte) ([]byte, error) { return numberField(1, success), nil }
	return &grpc.ServiceDesc{
		ServiceName: "anycable.RPC",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{unary("Connect", connect), unary("Command", command), unary("Disconnect", disconnect)},
	}
}

// publish sends what was performed to the stream, without its id, since that is the request's.
func publish(api string, data []byte) error {
	var performed struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(data, &performed); err != nil {
		return err
	}
	message, _ := json.Marshal(performed)
	body, _ := json.Marshal(map[string]string{"stream": "bench", "data": string(message)})
	answer, err := http.Post("http://"+api+"/_broadcast", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
