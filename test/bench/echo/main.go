// The least that a backend can do: it answers every request with the body that came. On a Link, and on NATS
// where NATS_URL is set; there a request to area.pushHandler has its body pushed to all clients first.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	pith "chat-grpc-go/gen/pith/v1"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
)

type echo struct {
	pith.UnimplementedBackendServer
}

func (echo) Link(link grpc.BidiStreamingServer[pith.ToBackend, pith.ToGateway]) error {
	hello := &pith.BackendFrame{Frame: &pith.BackendFrame_Hello{Hello: &pith.BackendHello{Instance: "echo"}}}
	if err := link.Send(&pith.ToGateway{Frames: []*pith.BackendFrame{hello}}); err != nil {
		return err
	}
	for {
		message, err := link.Recv()
		if err != nil {
			return nil
		}
		answers := make([]*pith.BackendFrame, 0, len(message.Frames))
		for _, frame := range message.Frames {
			if request := frame.GetRequest(); request != nil && frame.Id != 0 {
				body := &pith.Body{Content: &pith.Body_Bytes{Bytes: request.Body}}
				reply := &pith.Reply{Outcome: &pith.Reply_Body{Body: body}}
				answers = append(answers, &pith.BackendFrame{Id: frame.Id, Frame: &pith.BackendFrame_Reply{Reply: reply}})
			}
		}
		if len(answers) > 0 {
			if err := link.Send(&pith.ToGateway{Frames: answers}); err != nil {
				return err
			}
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pith.RegisterBackendServer(server, echo{})
	go server.Serve(listener)
	if url := os.Getenv("NATS_URL"); url != "" {
		nc, err := nats.Connect(url)
		if err != nil {
			log.Fatal(err)
		}
		answer := func(m *nats.Msg) {
			if strings.HasPrefix(m.Subject, "pith.rpc.area.pushHandler.") {
				push := nats.NewMsg("pith.all.push")
				push.Header["Pith-Route"] = []string{"onPush"}
				push.Data = m.Data
				nc.PublishMsg(push)
			}
			m.Respond(m.Data)
		}
		if _, err := nc.QueueSubscribe("pith.rpc.area.>", "echo", answer); err != nil {
			log.Fatal(err)
		}
		nc.Flush()
	}
	fmt.Println("listening on", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
