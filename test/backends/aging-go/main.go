// A backend as stock grpc-go makes it, for test/integration/grpc-goaway and test/slow: pith.v1.Backend on a free
// port, with Link and Handle (LINK=off: Handle alone). Its connections reach their age after MAX_AGE and are cut
// MAX_GRACE later, where these are set. Nothing else of the server is configured, least of all what pings it bears.
//
// Answers with the request's body after the route's last segment in milliseconds: "game.wait.250".
package main

import (
	"context"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pith "chat-grpc-go/gen/pith/v1"
)

func wait(req *pith.Request) {
	ms, err := strconv.Atoi(req.Route[strings.LastIndex(req.Route, ".")+1:])
	if err == nil {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
}

func reply(req *pith.Request) *pith.Reply {
	body := &pith.Body{Content: &pith.Body_Bytes{Bytes: req.Body}}
	return &pith.Reply{Outcome: &pith.Reply_Body{Body: body}}
}

type server struct {
	pith.UnimplementedBackendServer
}

func (server) Handle(_ context.Context, req *pith.Request) (*pith.Reply, error) {
	wait(req)
	return reply(req), nil
}

func (server) Link(stream grpc.BidiStreamingServer[pith.ToBackend, pith.ToGateway]) error {
	if os.Getenv("LINK") == "off" {
		return status.Error(codes.Unimplemented, "LINK=off")
	}
	log.Print("link opened")
	var one sync.Mutex // a stream takes one Send at a time
	send := func(frame *pith.BackendFrame) {
		one.Lock()
		defer one.Unlock()
		if err := stream.Send(&pith.ToGateway{Frames: []*pith.BackendFrame{frame}}); err != nil {
			log.Print("lost: ", err)
		}
	}
	send(&pith.BackendFrame{Frame: &pith.BackendFrame_Hello{Hello: &pith.BackendHello{Instance: "aging"}}})
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			log.Print("link lost: ", err)
			return err
		}
		for _, frame := range in.Frames {
			if req := frame.GetRequest(); req != nil {
				go func() {
					wait(req)
					send(&pith.BackendFrame{Id: frame.Id, Frame: &pith.BackendFrame_Reply{Reply: reply(req)}})
				}()
			}
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{}
	if age, err := time.ParseDuration(os.Getenv("MAX_AGE")); err == nil {
		grace, err := time.ParseDuration(os.Getenv("MAX_GRACE"))
		if err != nil {
			log.Fatal(err)
		}
		limits := keepalive.ServerParameters{MaxConnectionAge: age, MaxConnectionAgeGrace: grace}
		options = append(options, grpc.KeepaliveParams(limits))
	}
	grpcServer := grpc.NewServer(options...)
	pith.RegisterBackendServer(grpcServer, server{})
	// The same under a name that mode: method may call: test/backends/aging-proto.
	own := pith.Backend_ServiceDesc
	own.ServiceName = "aging.v1.Backend"
	grpcServer.RegisterService(&own, server{})
	go func() {
		<-ctx.Done()
		grpcServer.Stop()
	}()
	log.Printf("listening on %s", listener.Addr())
	if err := grpcServer.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
