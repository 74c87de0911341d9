// A backend that traces itself as any Go service does, with OpenTelemetry's own SDK: it goes on with the trace
// that the gateway began, and exports its spans to OTEL_EXPORTER_OTLP_ENDPOINT. For test/integration/telemetry.
//
// It serves pith.v1.Backend on a free port, Link and Handle (LINK=off: Handle alone), and pith.rpc.> where
// NATS_URL is set. A route's last segment says what happens: `slow` takes 300 ms, `fail` is answered with an
// error, anything else with the trace id that it saw.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pith "chat-grpc-go/gen/pith/v1"
)

var (
	tracer trace.Tracer
	w3c    propagation.TraceContext
)

// work does one message inside a span that is the child of whatever the headers name.
func work(headers propagation.TextMapCarrier, route, by string) (body []byte, failed bool) {
	ctx := w3c.Extract(context.Background(), headers)
	_, span := tracer.Start(ctx, "work "+route, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("by", by)))
	defer span.End()
	switch route[strings.LastIndexByte(route, '.')+1:] {
	case "slow":
		time.Sleep(300 * time.Millisecond)
	case "fail":
		return nil, true
	}
	seen := ""
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() {
		seen = parent.TraceID().String()
	}
	body, _ = json.Marshal(map[string]string{"trace": seen})
	return body, false
}

type server struct {
	pith.UnimplementedBackendServer
}

func reply(req *pith.Request, by string) *pith.Reply {
	body, failed := work(propagation.MapCarrier(req.Headers), req.Route, by)
	if failed {
		return &pith.Reply{Outcome: &pith.Reply_Error{Error: &pith.Error{Code: 500, Reason: "BROKEN", Message: "as asked"}}}
	}
	return &pith.Reply{Outcome: &pith.Reply_Body{Body: &pith.Body{Content: &pith.Body_Bytes{Bytes: body}}}}
}

func (server) Handle(_ context.Context, req *pith.Request) (*pith.Reply, error) {
	return reply(req, "handle"), nil
}

func (server) Link(stream grpc.BidiStreamingServer[pith.ToBackend, pith.ToGateway]) error {
	if os.Getenv("LINK") == "off" {
		return status.Error(codes.Unimplemented, "LINK=off")
	}
	var one sync.Mutex // a stream takes one Send at a time
	send := func(frame *pith.BackendFrame) error {
		one.Lock()
		defer one.Unlock()
		return stream.Send(&pith.ToGateway{Frames: []*pith.BackendFrame{frame}})
	}
	hello := &pith.BackendFrame{Frame: &pith.BackendFrame_Hello{Hello: &pith.BackendHello{Instance: "traced"}}}
	if err := send(hello); err != nil {
		return err
	}
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
			} else if req := frame.GetRequest(); req != nil {
				go func() {
					answer := reply(req, "link")
					if !req.Notify {
						send(&pith.BackendFrame{Id: frame.Id, Frame: &pith.BackendFrame_Reply{Reply: answer}})
					}
				}()
			}
		}
	}
}

// serveNats answers pith.rpc.<route>; the trace is in the message's headers.
func serveNats(url string) *nats.Conn {
	nc, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	_, err = nc.QueueSubscribe("pith.rpc.>", "traced", func(msg *nats.Msg) {
		go func() {
			// nats.Header keeps names as they were sent, and W3C writes them in lower case.
			headers := propagation.MapCarrier{"traceparent": msg.Header.Get("traceparent"), "tracestate": msg.Header.Get("tracestate")}
			body, failed := work(headers, strings.TrimPrefix(msg.Subject, "pith.rpc."), "nats")
			answer := &nats.Msg{Subject: msg.Reply, Data: body}
			if failed {
				answer.Header = nats.Header{"Nats-Service-Error-Code": {"500"}, "Nats-Service-Error": {"as asked"}, "Pith-Error-Reason": {"BROKEN"}}
			}
			if msg.Reply != "" {
				nc.PublishMsg(answer)
			}
		}()
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
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithBatchTimeout(50*time.Millisecond)),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "traced-go"))),
		// As a service behind a gateway does: what the gateway did not sample is not sampled here either.
		sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())),
	)
	tracer = provider.Tracer("traced-go")

	if url := os.Getenv("NATS_URL"); url != "" {
		defer serveNats(url).Close()
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:0"))
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
	flush, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	provider.Shutdown(flush)
}
