// A backend of Pith, on a Link and, with -nats, on NATS. It answers every request with the body that came; slow does so
// after 20 ms, join takes the session into a group, cast pushes its body to that group.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	pith "chat-grpc-go/gen/pith/v1"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
)

const (
	group     = "bench"
	castRoute = "onCast"
	slowTime  = 20 * time.Millisecond
)

type backend struct {
	pith.UnimplementedBackendServer
}

type frame = pith.BackendFrame

func (backend) Link(link grpc.BidiStreamingServer[pith.ToBackend, pith.ToGateway]) error {
	var sending sync.Mutex
	send := func(frames ...*frame) error {
		sending.Lock()
		defer sending.Unlock()
		return link.Send(&pith.ToGateway{Frames: frames})
	}
	if err := send(&frame{Frame: &pith.BackendFrame_Hello{Hello: &pith.BackendHello{Instance: "bench"}}}); err != nil {
		return err
	}
	for {
		message, err := link.Recv()
		if err != nil {
			return nil
		}
		answers := make([]*frame, 0, len(message.Frames))
		for _, one := range message.Frames {
			request := one.GetRequest()
			if request == nil || one.Id == 0 {
				continue
			}
			body := &pith.Body{Content: &pith.Body_Bytes{Bytes: request.Body}}
			reply := &pith.Reply{Outcome: &pith.Reply_Body{Body: body}}
			answer := &frame{Id: one.Id, Frame: &pith.BackendFrame_Reply{Reply: reply}}
			switch route := request.Route; {
			case strings.HasSuffix(route, ".slow"):
				time.AfterFunc(slowTime, func() { send(answer) })
				continue
			case strings.HasSuffix(route, ".join"):
				reply.Patch = &pith.Patch{Join: []string{group}}
			case strings.HasSuffix(route, ".cast"):
				push := &pith.Push{Target: &pith.Target{Groups: []string{group}}, Route: castRoute, Body: body}
				answers = append(answers, &frame{Frame: &pith.BackendFrame_Push{Push: push}})
			}
			answers = append(answers, answer)
		}
		if len(answers) > 0 {
			if err := send(answers...); err != nil {
				return err
			}
		}
	}
}

func serveNats(url, subject string) {
	nc, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	answer := func(m *nats.Msg) {
		switch {
		case strings.HasSuffix(m.Subject, ".slow"):
			time.AfterFunc(slowTime, func() { m.Respond(m.Data) })
		case strings.HasSuffix(m.Subject, ".join"):
			nc.PublishMsg(&nats.Msg{Subject: m.Reply, Data: m.Data, Header: nats.Header{"Pith-Join": {`["` + group + `"]`}}})
		case strings.HasSuffix(m.Subject, ".cast"):
			nc.PublishMsg(&nats.Msg{Subject: "pith.group." + group + ".push", Data: m.Data, Header: nats.Header{"Pith-Route": {castRoute}}})
			m.Respond(m.Data)
		default:
			m.Respond(m.Data)
		}
	}
	if _, err := nc.QueueSubscribe("pith.rpc."+subject+".>", "bench", answer); err != nil {
		log.Fatal(err)
	}
	nc.Flush()
}

func main() {
	url := flag.String("nats", "", "URL; empty: only a Link")
	subject := flag.String("subject", "area", "first part of the routes that it serves on NATS")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pith.RegisterBackendServer(server, backend{})
	go server.Serve(listener)
	if *url != "" {
		serveNats(*url, *subject)
	}
	fmt.Println("listening on", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
