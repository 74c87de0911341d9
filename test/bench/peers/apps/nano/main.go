// One program, three roles of a Nano cluster: master, gate (WebSocket, no handler) and a backend with the echo.
package main

import (
	"flag"
	"io"
	"log"
	"time"

	"github.com/lonng/nano"
	"github.com/lonng/nano/component"
	"github.com/lonng/nano/serialize/json"
	"github.com/lonng/nano/session"
)

// Echo is exported since Nano looks for handlers on exported types only.
type Echo struct {
	component.Base
	group *nano.Group
	async bool
}

// Echo takes and gives raw bytes, so the backend does no JSON. A response is a gRPC call that waits for its answer,
// and all handlers run on one goroutine: with async the handler does not wait for it.
func (e *Echo) Echo(s *session.Session, in []byte) error {
	if !e.async {
		return s.Response(in)
	}
	mid := s.LastMid()
	go s.ResponseMID(mid, in)
	return nil
}

// Slow answers after 20 ms. It does not keep the goroutine of all handlers for that time, which would leave 50 answers
// a second.
func (e *Echo) Slow(s *session.Session, in []byte) error {
	mid := s.LastMid()
	time.AfterFunc(20*time.Millisecond, func() { s.ResponseMID(mid, in) })
	return nil
}

// Join takes the session into the group.
func (e *Echo) Join(s *session.Session, in []byte) error {
	if err := e.group.Add(s); err != nil {
		return err
	}
	return s.Response(in)
}

// Cast pushes its body to the group.
func (e *Echo) Cast(s *session.Session, in []byte) error {
	if err := e.group.Broadcast("onCast", in); err != nil {
		return err
	}
	return s.Response(in)
}

func main() {
	role := flag.String("role", "master", "master, gate or echo")
	name := flag.String("name", "Echo", "of the component")
	listen := flag.String("listen", "", "address for the cluster")
	master := flag.String("master", "", "address of the master")
	client := flag.String("client", "", "address for clients")
	cert := flag.String("cert", "", "file, for WSS")
	key := flag.String("key", "", "file")
	async := flag.Bool("async", false, "answers without waiting for the gate to have the answer")
	flag.Parse()
	options := []nano.Option{
		nano.WithSerializer(json.NewSerializer()),
		nano.WithLogger(log.New(io.Discard, "", 0)),
	}
	switch *role {
	case "master":
		options = append(options, nano.WithMaster())
	case "gate":
		options = append(options, nano.WithAdvertiseAddr(*master), nano.WithClientAddr(*client),
			nano.WithIsWebsocket(true), nano.WithWSPath("/"))
		if *cert != "" {
			options = append(options, nano.WithTSLConfig(*cert, *key))
		}
	case "echo":
		components := &component.Components{}
		components.Register(&Echo{group: nano.NewGroup("bench"), async: *async}, component.WithName(*name))
		options = append(options, nano.WithAdvertiseAddr(*master), nano.WithComponents(components))
	}
	nano.Listen(*listen, options...)
}
