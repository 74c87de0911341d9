// A backend of Pith on plain NATS: it answers hello.world.greet, and pushes onGreet to the player who asked.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/nats-io/nats.go"
)

var nc *nats.Conn

// greet answers one message; m.Reply is empty if the client wants no answer.
func greet(m *nats.Msg) {
	var in struct{ Name string }
	if json.Unmarshal(m.Data, &in) != nil || in.Name == "" {
		fail(m, 400, "BAD_BODY", `expected {"name":"ann"}`)
		return
	}
	// To the session that has asked. pith.user.<uid>.push and pith.group.<group>.push reach others.
	push("pith.session."+m.Header.Get("Pith-Sid")+".push", "onGreet", map[string]any{"text": "welcome, " + in.Name})
	reply := nats.NewMsg(m.Reply)
	reply.Data = encode(map[string]any{"hello": in.Name})
	// A login binds the session to a uid, which the gateway then sends with each message of the player:
	// reply.Header.Set("Pith-Bind", in.Name)
	send(m, reply)
}

// fail is what the client gets as {"code":400,"reason":"BAD_BODY","msg":"…"}.
func fail(m *nats.Msg, code int, reason, text string) {
	reply := nats.NewMsg(m.Reply)
	reply.Header.Set("Nats-Service-Error-Code", strconv.Itoa(code))
	reply.Header.Set("Nats-Service-Error", text)
	reply.Header.Set("Pith-Error-Reason", reason)
	send(m, reply)
}

func send(m, reply *nats.Msg) {
	if m.Reply == "" {
		return
	}
	if err := nc.PublishMsg(reply); err != nil {
		log.Print(err)
	}
}

func push(subject, route string, v any) {
	m := &nats.Msg{Subject: subject, Header: nats.Header{"Pith-Route": {route}}, Data: encode(v)}
	if err := nc.PublishMsg(m); err != nil {
		log.Print(err)
	}
}

// encode encodes v, which consists of maps and strings, as JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// main serves until SIGTERM or Ctrl-C.
func main() {
	url := cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL)
	closed := make(chan struct{})
	var err error
	nc, err = nats.Connect(url, nats.Name("hello"), nats.MaxReconnects(-1), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		log.Fatalf("hello: %v: is nats-server running at %s?", err, url)
	}
	// The instances of one queue group share the messages.
	if _, err := nc.QueueSubscribe("pith.rpc.hello.world.greet", "hello", greet); err != nil {
		log.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("hello: ready on", url)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	if nc.Drain() != nil { // not connected now
		nc.Close()
	}
	<-closed
}
