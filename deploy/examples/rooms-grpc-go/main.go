// Rooms of a lobby as an ordinary gRPC service. Pith calls its methods: the clients' JSON arrives as these messages,
// the facts about the session as metadata, and changes of the session go back as metadata.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"

	lobby "rooms-grpc-go/gen/lobby/v1"
)

type rooms struct {
	lobby.UnimplementedRoomsServer
	joined atomic.Int64
}

// fact reads what the gateway sends about the session: sid, uid, client-ip, route, seq, data.
func fact(ctx context.Context, name string) string {
	values := metadata.ValueFromIncomingContext(ctx, "x-pith-"+name)
	if len(values) == 0 {
		return ""
	}
	// Bytes other than 0x21 to 0x7E come as %XX.
	if value, err := url.PathUnescape(values[0]); err == nil {
		return value
	}
	return values[0]
}

// change changes the session; it takes effect before the client gets its answer.
func change(ctx context.Context, name, value string) {
	grpc.SetHeader(ctx, metadata.Pairs("x-pith-"+name, url.PathEscape(value)))
}

func asJSON(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

// refuse ends a call with a status whose details the client sees as fields of its error.
func refuse(code codes.Code, text string, details ...protoadapt.MessageV1) error {
	with, err := status.New(code, text).WithDetails(details...)
	if err != nil {
		return status.Error(code, text)
	}
	return with.Err()
}

func (r *rooms) Join(ctx context.Context, in *lobby.JoinRequest) (*lobby.JoinResponse, error) {
	bad := &errdetails.BadRequest{}
	for field, value := range map[string]string{"name": in.Name, "room": in.Room} {
		if value == "" {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: field, Description: "must not be empty"})
		}
	}
	if len(bad.FieldViolations) > 0 {
		return nil, refuse(codes.InvalidArgument, "name and room are needed", bad)
	}
	if in.Room == "closed" {
		return nil, refuse(codes.FailedPrecondition, "this room is closed", &errdetails.ErrorInfo{Reason: "ROOM_CLOSED", Domain: "lobby"})
	}
	change(ctx, "bind", in.Name) // a demonstration: a real service checks who is there
	change(ctx, "set", asJSON(map[string]string{"room": in.Room}))
	change(ctx, "join", asJSON([]string{"room." + in.Room}))
	return &lobby.JoinResponse{Room: in.Room, Mode: in.Mode, Number: r.joined.Add(1), JoinedAt: timestamppb.Now()}, nil
}

func (r *rooms) Leave(ctx context.Context, _ *lobby.LeaveRequest) (*lobby.LeaveResponse, error) {
	var data struct{ Room string } // there because the route forwards it
	json.Unmarshal([]byte(fact(ctx, "data")), &data)
	if data.Room == "" {
		return nil, refuse(codes.FailedPrecondition, "join a room first", &errdetails.ErrorInfo{Reason: "NOT_IN_ROOM", Domain: "lobby"})
	}
	change(ctx, "set", `{"room":null}`)
	change(ctx, "leave", asJSON([]string{"room." + data.Room}))
	return &lobby.LeaveResponse{Room: data.Room}, nil
}

func (r *rooms) Countdown(in *lobby.CountdownRequest, out grpc.ServerStreamingServer[lobby.CountdownTick]) error {
	if in.From < 1 || in.From > 100 {
		return status.Error(codes.OutOfRange, "from is 1 to 100")
	}
	for left := in.From; ; left-- {
		if err := out.Send(&lobby.CountdownTick{Left: left}); err != nil || left == 0 {
			return err
		}
		select {
		case <-time.After(in.Every.AsDuration()):
		case <-out.Context().Done(): // the client has left, or the timeout is over
			return out.Context().Err()
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
	srv, ready := grpc.NewServer(), health.NewServer()
	lobby.RegisterRoomsServer(srv, &rooms{})
	healthpb.RegisterHealthServer(srv, ready)
	if os.Getenv("REFLECTION") != "off" {
		reflection.Register(srv)
	}
	ready.SetServingStatus("lobby.v1.Rooms", healthpb.HealthCheckResponse_SERVING)
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		ready.Shutdown()
		time.AfterFunc(5*time.Second, srv.Stop)
		srv.GracefulStop()
	}()
	fmt.Println("rooms on gRPC: listening on", scheme+lis.Addr().String())
	if err := srv.Serve(lis); err != nil {
		log.Fatal(err)
	}
}
