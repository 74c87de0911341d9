// A backend that says who comes in, written as anybody would with Go's own libraries: pith.v1.Backend's Connect on
// a free port, over Link and as a call (LINK=off: as a call alone), and pith.connect where NATS_URL is set.
// For test/integration/connect-go.
//
// The user block's `name` is the uid. "eve" is refused; everybody else gets back the request as it was read here.
package main

import (
	"context"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	pith "chat-grpc-go/gen/pith/v1"
)

func decide(req *pith.ConnectRequest) (*pith.ConnectResponse, error) {
	name := req.User.Fields["name"].GetStringValue()
	if name == "eve" {
		refusal := &pith.Error{Code: 403, Reason: "BANNED", Message: "until Monday", RetryAfter: durationpb.New(time.Hour)}
		return &pith.ConnectResponse{Outcome: &pith.ConnectResponse_Error{Error: refusal}}, nil
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(req)
	if err != nil {
		return nil, err
	}
	seen := &structpb.Struct{}
	if err := protojson.Unmarshal(text, seen); err != nil {
		return nil, err
	}
	return &pith.ConnectResponse{Outcome: &pith.ConnectResponse_Accept_{Accept: &pith.ConnectResponse_Accept{
		Patch: &pith.Patch{Uid: &name, Join: []string{"lobby"}},
		User:  seen,
		// A word that holds for long is one that the test does not see expire.
		ExpiresIn: durationpb.New(24 * time.Hour),
	}}}, nil
}

type server struct {
	pith.UnimplementedBackendServer
}

func (server) Connect(_ context.Context, req *pith.ConnectRequest) (*pith.ConnectResponse, error) {
	return decide(req)
}

// Link answers handshakes, and requests with the uid of who asks.
func (server) Link(stream grpc.BidiStreamingServer[pith.ToBackend, pith.ToGateway]) error {
	if os.Getenv("LINK") == "off" {
		return status.Error(codes.Unimplemented, "LINK=off")
	}
	var one sync.Mutex // a stream takes one Send at a time
	send := func(frame *pith.BackendFrame) {
		one.Lock()
		defer one.Unlock()
		if err := stream.Send(&pith.ToGateway{Frames: []*pith.BackendFrame{frame}}); err != nil {
			log.Print(err)
		}
	}
	send(&pith.BackendFrame{Frame: &pith.BackendFrame_Hello{Hello: &pith.BackendHello{Instance: "login"}}})
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		for _, frame := range in.Frames {
			if frame.GetGoaway() != nil {
				return nil
			} else if req := frame.GetConnect(); req != nil {
				go func() {
					answer, err := decide(req)
					if err != nil {
						log.Print(err)
						return
					}
					send(&pith.BackendFrame{Id: frame.Id, Frame: &pith.BackendFrame_Connect{Connect: answer}})
				}()
			}
		}
	}
}

func serveNats(url string) *nats.Conn {
	nc, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	_, err = nc.QueueSubscribe("pith.connect", "login", func(msg *nats.Msg) {
		req := &pith.ConnectRequest{}
		if err := protojson.Unmarshal(msg.Data, req); err != nil {
			log.Print(err)
			return
		}
		answer, err := decide(req)
		if err != nil {
			log.Print(err)
			return
		}
		text, err := protojson.Marshal(answer)
		if err != nil {
			log.Print(err)
			return
		}
		msg.Respond(text)
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		log.Fatal(err)
	}
	return nc
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if url := os.Getenv("NATS_URL"); url != "" {
		defer serveNats(url).Close()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	pith.RegisterBackendServer(grpcServer, server{})
	go func() {
		<-ctx.Done()
		grpcServer.Stop()
	}()
	log.Printf("listening on %s", listener.Addr())
	if err := grpcServer.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
