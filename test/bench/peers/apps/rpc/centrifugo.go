package main

import (
	"context"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Of the proxy's RPCRequest.
const (
	methodField = 11
	dataField   = 12
)

// centrifugo is what its RPC proxy calls. A broadcast goes to its own gRPC API.
func centrifugo(api string) *grpc.ServiceDesc {
	conn, err := grpc.NewClient(api, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	rpc := func(ctx context.Context, request []byte) ([]byte, error) {
		data := field(request, dataField)
		switch string(field(request, methodField)) {
		case "slow":
			time.Sleep(slowTime)
		case "cast":
			publish := join(bytesField(1, []byte("bench")), bytesField(2, data))
			var answer []byte
			if err := conn.Invoke(ctx, "/centrifugal.centrifugo.api.CentrifugoApi/Publish", &publish, &answer); err != nil {
				return nil, err
			}
		}
		return bytesField(1, bytesField(1, data)), nil
	}
	return &grpc.ServiceDesc{
		ServiceName: "centrifugal.centrifugo.proxy.CentrifugoProxy",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{unary("RPC", rpc)},
	}
}
