// A backend of Pith on gRPC: it answers hello.world.greet, and pushes onGreet to the player who asked.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"

	pith "hello/gen/pith/v1" // made from Pith's proto/
)

type server struct {
	pith.UnimplementedBackendServer
}

// Handle is called for each message; the gateway calls it for many at once.
func (server) Handle(_ context.Context, req *pith.Request) (*pith.Reply, error) {
	switch req.Route {
	case "hello.world.greet":
		var in struct{ Name string }
		if json.Unmarshal(req.Body, &in) != nil || in.Name == "" {
			return fail(400, "BAD_BODY", `expected {"name":"ann"}`), nil
		}
		reply := answer(map[string]any{"hello": in.Name})
		// Without a target it goes to the session that has asked. Target{Uids: …} and Target{Groups: …} reach others.
		reply.Pushes = []*pith.Push{{Route: "onGreet", Body: body(map[string]any{"text": "welcome, " + in.Name})}}
		// A login binds the session to a uid, which the gateway then sends with each message of the player:
		// reply.Patch = &pith.Patch{Uid: &in.Name}
		return reply, nil
	}
	return fail(404, "NO_ROUTE", "no such route: "+req.Route), nil
}

func answer(v any) *pith.Reply {
	return &pith.Reply{Outcome: &pith.Reply_Body{Body: body(v)}}
}

// fail is what the client gets as {"code":400,"reason":"BAD_BODY","msg":"…"}.
func fail(code int32, reason, text string) *pith.Reply {
	return &pith.Reply{Outcome: &pith.Reply_Error{Error: &pith.Error{Code: code, Reason: reason, Message: text}}}
}

// body encodes v, which consists of maps and strings, as JSON.
func body(v any) *pith.Body {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &pith.Body{Content: &pith.Body_Bytes{Bytes: b}}
}

// main listens on ADDR until SIGTERM or Ctrl-C.
func main() {
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:9000"))
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer()
	pith.RegisterBackendServer(srv, server{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		time.AfterFunc(5*time.Second, srv.Stop)
		srv.GracefulStop()
	}()
	fmt.Println("hello: listening on", listener.Addr())
	if err := srv.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
