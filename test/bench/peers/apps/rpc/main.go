// Backends that a peer calls by its own gRPC service: echo; slow, after 20 ms; cast, which publishes its body to everybody.
// The messages are read and written by hand, so no generated code is needed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/encoding/protowire"
)

const slowTime = 20 * time.Millisecond

// raw is a codec whose messages are their own bytes.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func bytesField(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func numberField(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}

func join(fields ...[]byte) []byte {
	var message []byte
	for _, field := range fields {
		message = append(message, field...)
	}
	return message
}

// field finds a field of bytes or text.
func field(message []byte, wanted protowire.Number) []byte {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return nil
			}
			if number == wanted {
				return value
			}
			message = message[n:]
			continue
		}
		n = protowire.ConsumeFieldValue(number, kind, message)
		if n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}

// unary makes a method of a function from a message to its answer.
func unary(name string, answer func(context.Context, []byte) ([]byte, error)) grpc.MethodDesc {
	handle := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		out, err := answer(ctx, request)
		return &out, err
	}
	return grpc.MethodDesc{MethodName: name, Handler: handle}
}

func main() {
	serve := flag.String("serve", "", "centrifugo or anycable")
	listen := flag.String("listen", "", "address")
	api := flag.String("api", "", "where the peer takes broadcasts")
	flag.Parse()
	encoding.RegisterCodec(raw{})
	service := centrifugo
	if *serve == "anycable" {
		service = anycable
	}
	server := grpc.NewServer()
	server.RegisterService(service(*api), struct{}{})
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	fmt.Println("listening on", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
