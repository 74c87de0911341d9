// The chat as a gRPC backend: one function behind both Handle (one call per request) and Link (one stream for all).
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pith "chat-grpc-go/gen/pith/v1"
)

type obj = map[string]any

type server struct {
	pith.UnimplementedBackendServer
	stopping chan struct{} // closed at SIGTERM
}

// chat handles one request or notify. The reply carries the changes of the session, and the pushes.
func chat(req *pith.Request) *pith.Reply {
	var b struct{ Name, Room, Text, To string }
	sid, uid := req.GetSession().GetSid(), req.GetSession().GetUid()
	room := req.GetSession().GetData().GetFields()["room"].GetStringValue() // there because the route forwards it
	bad := json.Unmarshal(req.Body, &b) != nil
	toRoom := func(room, route string, v any) *pith.Push {
		return push(&pith.Target{Groups: []string{"room." + room}, ExceptSids: []string{sid}}, route, v)
	}
	switch {
	case bad, req.Route == "chat.room.join" && (b.Name == "" || b.Room == ""), req.Route == "chat.room.whisper" && b.To == "":
		return fail(400, "BAD_BODY", "a JSON object with the fields of this route is needed")
	case req.Route == "chat.room.join":
		r := answer(obj{"code": 200, "room": b.Room}, toRoom(b.Room, "onJoin", obj{"name": b.Name}))
		r.Patch = &pith.Patch{Uid: &b.Name, Set: set("room", structpb.NewStringValue(b.Room)), Join: []string{"room." + b.Room}}
		if room != "" && room != b.Room {
			r.Patch.Leave = []string{"room." + room}
			r.Pushes = append(r.Pushes, toRoom(room, "onLeave", obj{"name": b.Name}))
		}
		return r
	case req.Route == "chat.room.whisper": // only Link's PushResult or Control can tell whether `to` is online
		return answer(obj{"code": 200}, push(&pith.Target{Uids: []string{b.To}}, "onWhisper", obj{"from": uid, "text": b.Text}))
	case room == "" && (req.Route == "chat.room.send" || req.Route == "chat.room.leave"):
		return fail(400, "NOT_IN_ROOM", "join a room first")
	case req.Route == "chat.room.send":
		return answer(obj{"code": 200}, toRoom(room, "onChat", obj{"from": uid, "text": b.Text}))
	case req.Route == "chat.room.leave":
		r := answer(obj{"code": 200}, toRoom(room, "onLeave", obj{"name": uid}))
		r.Patch = &pith.Patch{Set: set("room", structpb.NewNullValue()), Leave: []string{"room." + room}}
		return r
	}
	return fail(404, "NO_ROUTE", "no such route: "+req.Route)
}

func (s *server) Handle(_ context.Context, req *pith.Request) (*pith.Reply, error) {
	return chat(req), nil
}

// Link handles requests in the order in which they arrive, and answers all frames of a message in one message.
func (s *server) Link(stream grpc.BidiStreamingServer[pith.ToBackend, pith.ToGateway]) error {
	if os.Getenv("LINK") == "off" {
		return status.Error(codes.Unimplemented, "LINK=off")
	}
	host, _ := os.Hostname()
	var one sync.Mutex // a stream allows one Send at a time
	send := func(frames ...*pith.BackendFrame) error {
		one.Lock()
		defer one.Unlock()
		return stream.Send(&pith.ToGateway{Frames: frames})
	}
	hello := &pith.BackendHello{Instance: cmp.Or(os.Getenv("INSTANCE"), host), Version: "1.0.0"}
	if err := send(&pith.BackendFrame{Frame: &pith.BackendFrame_Hello{Hello: hello}}); err != nil {
		return err
	}
	go func() {
		select {
		case <-s.stopping: // the gateway sends new work elsewhere, waits for our answers, and ends the stream
			send(&pith.BackendFrame{Frame: &pith.BackendFrame_Goaway{Goaway: &pith.Goaway{Reason: "shutdown"}}})
		case <-stream.Context().Done():
		}
	}()
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		frames, last := framesFor(in)
		if len(frames) > 0 {
			err = send(frames...)
		}
		if last || err != nil {
			return err
		}
	}
}

// main listens on ADDR, which may be unix:/path, until SIGTERM.
func main() {
	network, scheme, addr := "tcp", "", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:9000")
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, scheme, addr = "unix", "unix:", path
		os.Remove(path) // left by a process that was killed
	}
	lis, err := net.Listen(network, addr)
	if err != nil {
		log.Fatal(err)
	}
	srv, ready, s := grpc.NewServer(), health.NewServer(), &server{stopping: make(chan struct{})}
	pith.RegisterBackendServer(srv, s)
	healthpb.RegisterHealthServer(srv, ready)
	reflection.Register(srv)
	ready.SetServingStatus("pith.v1.Backend", healthpb.HealthCheckResponse_SERVING)
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		ready.Shutdown()
		close(s.stopping)
		time.AfterFunc(5*time.Second, srv.Stop)
		srv.GracefulStop()
	}()
	fmt.Println("chat on gRPC: listening on", scheme+lis.Addr().String())
	if err := srv.Serve(lis); err != nil {
		log.Fatal(err)
	}
}
