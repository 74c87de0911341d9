// One program, two roles: a frontend of Pitaya (WebSocket and TCP acceptors, no handler) and a backend with the echo.
// Everything is Pitaya's default but for: zlib off, log level error, and what the flags say.
package main

import (
	"context"
	"flag"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	pitaya "github.com/topfreegames/pitaya/v3/pkg"
	"github.com/topfreegames/pitaya/v3/pkg/acceptor"
	"github.com/topfreegames/pitaya/v3/pkg/component"
	"github.com/topfreegames/pitaya/v3/pkg/config"
	"github.com/topfreegames/pitaya/v3/pkg/logger"
	logruswrapper "github.com/topfreegames/pitaya/v3/pkg/logger/logrus"
)

const group = "bench"

// Echo is exported since Pitaya looks for handlers on exported types only.
type Echo struct {
	component.Base
	app pitaya.Pitaya
}

// Echo takes and gives raw bytes, so the backend does no JSON.
func (e *Echo) Echo(_ context.Context, in []byte) ([]byte, error) { return in, nil }

// Slow answers after 20 ms.
func (e *Echo) Slow(_ context.Context, in []byte) ([]byte, error) {
	time.Sleep(20 * time.Millisecond)
	return in, nil
}

// Join binds the session, which the body names, and takes it into the group.
func (e *Echo) Join(ctx context.Context, in []byte) ([]byte, error) {
	uid := strings.TrimSuffix(strings.TrimPrefix(string(in), `{"uid":"`), `"}`)
	if err := e.app.GetSessionFromCtx(ctx).Bind(ctx, uid); err != nil {
		return nil, err
	}
	return in, e.app.GroupAddMember(ctx, group, uid)
}

// Cast pushes its body to the group.
func (e *Echo) Cast(ctx context.Context, in []byte) ([]byte, error) {
	return in, e.app.GroupBroadcast(ctx, "connector", group, "onCast", in)
}

func main() {
	frontend := flag.Bool("frontend", false, "")
	kind := flag.String("type", "room", "server type")
	ws := flag.String("ws", "", "address of the WebSocket acceptor")
	tcp := flag.String("tcp", "", "address of the TCP acceptor")
	nats := flag.String("nats", "", "URL")
	etcd := flag.String("etcd", "", "host:port")
	dispatch := flag.Int("dispatch", 25, "goroutines that handle requests in the frontend; Pitaya's default is 25")
	services := flag.Int("services", 30, "goroutines that handle requests in the backend; Pitaya's default is 30")
	buffer := flag.Int("buffer", 75, "requests that wait in the backend; Pitaya's default is 75, and NATS drops what is more")
	flag.Parse()

	log := logrus.New()
	log.SetLevel(logrus.ErrorLevel)
	logger.SetLogger(logruswrapper.NewWithFieldLogger(log))

	c := config.NewDefaultPitayaConfig()
	c.Handler.Messages.Compression = false
	c.Concurrency.Handler.Dispatch = *dispatch
	c.Cluster.RPC.Client.Nats.Connect = *nats
	c.Cluster.RPC.Server.Nats.Connect = *nats
	c.Cluster.RPC.Server.Nats.Services = *services
	c.Cluster.RPC.Server.Nats.Buffer.Messages = *buffer
	c.Cluster.SD.Etcd.Endpoints = []string{*etcd}

	b := pitaya.NewDefaultBuilder(*frontend, *kind, pitaya.Cluster, map[string]string{}, *c)
	if *ws != "" {
		b.AddAcceptor(acceptor.NewWSAcceptor(*ws))
	}
	if *tcp != "" {
		b.AddAcceptor(acceptor.NewTCPAcceptor(*tcp))
	}
	app := b.Build()
	if !*frontend {
		if err := app.GroupCreate(context.Background(), group); err != nil {
			log.Fatal(err)
		}
		app.Register(&Echo{app: app}, component.WithName("echo"), component.WithNameFunc(strings.ToLower))
	}
	app.Start()
}
