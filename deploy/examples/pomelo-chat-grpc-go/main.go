// The game server of Pomelo's tutorial, chatofpomelo-websocket, as a gRPC backend. Its web page needs no change.
//
// Rooms are groups at the gateways, which also know who is in them, and are asked through Control. The only state is
// who has entered here, for gateways that are lost.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pith "chat-grpc-go/gen/pith/v1"
)

type obj = map[string]any

// player is what onLeave needs of a session: a uid is <user>*<rid>, as in the tutorial.
type player struct{ uid, rid string }

func (p player) user() string { return strings.Split(p.uid, "*")[0] }

type server struct {
	pith.UnimplementedBackendServer
	gateways pith.ControlClient
	mu       sync.Mutex
	entered  map[string]player // by sid
}

// Handle answers what the page asks.
func (s *server) Handle(ctx context.Context, req *pith.Request) (*pith.Reply, error) {
	switch req.Route {
	case "connector.entryHandler.enter":
		return s.enter(ctx, req)
	case "chat.chatHandler.send":
		return s.send(req), nil
	}
	return fail(404, "no such route: "+req.Route), nil
}

// enter joins the room, tells the others, then looks who is there.
func (s *server) enter(ctx context.Context, req *pith.Request) (*pith.Reply, error) {
	var in struct{ Username, Rid string }
	if json.Unmarshal(req.Body, &in) != nil || in.Username == "" || in.Rid == "" || strings.Contains(in.Username+in.Rid, "*") {
		return fail(400, "not what the tutorial's page sends"), nil
	}
	sid, p := req.Session.Sid, player{in.Username + "*" + in.Rid, in.Rid}
	if req.Session.Uid != "" {
		return answer(obj{"code": 500, "error": true}), nil
	}
	s.set(sid, p)
	if _, err := s.gateways.Bind(ctx, &pith.BindRequest{Sid: sid, Uid: p.uid}); err != nil {
		s.set(sid, player{})
		if status.Code(err) == codes.FailedPrecondition { // UID_IN_USE: the page asks for another name
			return answer(obj{"code": 500, "error": true}), nil
		}
		return nil, err
	}
	rid := &structpb.Struct{Fields: map[string]*structpb.Value{"rid": structpb.NewStringValue(p.rid)}}
	if _, err := s.gateways.SetData(ctx, &pith.SetDataRequest{Sid: sid, Set: rid}); err != nil {
		return nil, err
	}
	join := &pith.GroupRequest{Target: &pith.Target{Sids: []string{sid}}, Groups: []string{room(p.rid)}}
	if _, err := s.gateways.Join(ctx, join); err != nil {
		return nil, err
	}
	others := &pith.Target{Groups: []string{room(p.rid)}, ExceptSids: []string{sid}}
	if _, err := s.gateways.Push(ctx, &pith.PushRequest{Push: push(others, "onAdd", obj{"user": p.user()})}); err != nil {
		return nil, err
	}
	users, err := s.users(ctx, p.rid)
	return answer(obj{"users": users}), err
}

// set remembers who has entered by a session; an empty player is forgotten.
func (s *server) set(sid string, p player) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entered[sid] = p; p.uid == "" {
		delete(s.entered, sid)
	}
}

// users lists who is in a room, on all gateways.
func (s *server) users(ctx context.Context, rid string) ([]string, error) {
	stream, err := s.gateways.ListSessions(ctx, &pith.ListSessionsRequest{Target: &pith.Target{Groups: []string{room(rid)}}})
	if err != nil {
		return nil, err
	}
	users := []string{}
	for {
		session, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return users, nil
		} else if err != nil {
			return nil, err
		}
		users = append(users, player{uid: session.Uid}.user())
	}
}

// send pushes to everybody in the room, the sender too, or to one of them.
func (s *server) send(req *pith.Request) *pith.Reply {
	var in struct{ Content, Target string }
	p := player{req.Session.Uid, req.Session.Data.GetFields()["rid"].GetStringValue()}
	if json.Unmarshal(req.Body, &in) != nil || in.Target == "" || p.rid == "" {
		return fail(400, "not what the tutorial's page sends")
	}
	to := &pith.Target{Groups: []string{room(p.rid)}}
	if in.Target != "*" {
		to = &pith.Target{Uids: []string{in.Target + "*" + p.rid}}
	}
	return answer(obj{}, push(to, "onChat", obj{"msg": in.Content, "from": p.user(), "target": in.Target}))
}

// Closed is called when a session has ended.
func (s *server) Closed(ctx context.Context, event *pith.ClosedEvent) (*pith.ClosedAck, error) {
	s.set(event.Session.Sid, player{})
	p := player{event.Session.Uid, event.Session.Data.GetFields()["rid"].GetStringValue()}
	return &pith.ClosedAck{}, s.tellLeft(ctx, []player{p})
}

// Lost is called by another gateway when one is gone, with all its sessions. For them Closed is not called.
func (s *server) Lost(ctx context.Context, event *pith.LostEvent) (*pith.LostAck, error) {
	var gone []player
	s.mu.Lock()
	for sid, p := range s.entered {
		if strings.HasPrefix(sid, event.Gateway+".") {
			gone = append(gone, p)
			delete(s.entered, sid)
		}
	}
	s.mu.Unlock()
	return &pith.LostAck{}, s.tellLeft(ctx, gone)
}

// tellLeft pushes onLeave for everybody who was in a room, and is not back by another session.
func (s *server) tellLeft(ctx context.Context, players []player) error {
	// The gateway that calls may be gone before everybody is told.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for len(players) > 0 {
		some := players[:min(1000, len(players))]
		players = players[len(some):]
		uids := make([]string, len(some))
		for i, p := range some {
			uids[i] = p.uid
		}
		online, err := s.gateways.GetPresence(ctx, &pith.GetPresenceRequest{Uids: uids})
		if err != nil {
			return err
		}
		for _, p := range some {
			if online.Presence[p.uid] != nil || p.uid == "" || p.rid == "" {
				continue
			}
			left := push(&pith.Target{Groups: []string{room(p.rid)}}, "onLeave", obj{"user": p.user()})
			if _, err := s.gateways.Push(ctx, &pith.PushRequest{Push: left}); err != nil {
				return err
			}
		}
	}
	return nil
}

func room(rid string) string { return "room." + rid }

func answer(v obj, pushes ...*pith.Push) *pith.Reply {
	return &pith.Reply{Outcome: &pith.Reply_Body{Body: body(v)}, Pushes: pushes}
}

func fail(code int32, text string) *pith.Reply {
	return &pith.Reply{Outcome: &pith.Reply_Error{Error: &pith.Error{Code: code, Message: text}}}
}

func push(to *pith.Target, route string, v obj) *pith.Push {
	return &pith.Push{Target: to, Route: route, Body: body(v)}
}

func body(v obj) *pith.Body {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &pith.Body{Content: &pith.Body_Bytes{Bytes: b}}
}

// again: a call that a gateway took with it when it was killed is made once more, to the next.
const again = `{"methodConfig": [{"name": [{"service": "pith.v1.Control"}], "waitForReady": true, "retryPolicy": {"maxAttempts": 3,
	"initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// connect opens a connection to the first of these control ports that answers, and to the next when that is gone.
func connect(addresses string) *grpc.ClientConn {
	ports := manual.NewBuilderWithScheme("control")
	var state resolver.State
	for address := range strings.SplitSeq(addresses, ",") {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address}}})
	}
	ports.InitialState(state)
	conn, err := grpc.NewClient("control:///pith", grpc.WithResolvers(ports),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(again),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}))
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

func main() {
	lis, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:9000"))
	if err != nil {
		log.Fatal(err)
	}
	gateways := pith.NewControlClient(connect(cmp.Or(os.Getenv("CONTROL"), "127.0.0.1:7070")))
	srv, ready := grpc.NewServer(), health.NewServer()
	pith.RegisterBackendServer(srv, &server{gateways: gateways, entered: map[string]player{}})
	healthpb.RegisterHealthServer(srv, ready)
	ready.SetServingStatus("pith.v1.Backend", healthpb.HealthCheckResponse_SERVING)
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		ready.Shutdown()
		time.AfterFunc(5*time.Second, srv.Stop)
		srv.GracefulStop()
	}()
	fmt.Println("chat of Pomelo: listening on", lis.Addr())
	if err := srv.Serve(lis); err != nil {
		log.Fatal(err)
	}
}
