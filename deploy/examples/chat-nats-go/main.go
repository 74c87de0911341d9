// A small chat on plain NATS: Pith's subjects and headers, and none of Pith's code.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

type obj = map[string]any

type body struct{ Name, Room, Text, To string }

// patch is what changes in a session: reply headers for a request, the verb `patch` for a notify.
type patch struct {
	UID   string   `json:"uid,omitempty"`
	Set   obj      `json:"set,omitempty"`
	Join  []string `json:"join,omitempty"`
	Leave []string `json:"leave,omitempty"`
}

// failure is an application error: the client gets code, reason and message.
type failure struct {
	code         int
	reason, text string
}

var (
	nc        *nats.Conn
	badBody   = &failure{400, "BAD_BODY", "a JSON object with the fields of this route is needed"}
	notInRoom = &failure{400, "NOT_IN_ROOM", "join a room first"}
)

// chat handles one route, and returns what the client gets and what changes in its session.
func chat(route, sid, uid, room string, b body) (any, patch, *failure) {
	switch {
	case route == "chat.room.join" && (b.Name == "" || b.Room == ""), route == "chat.room.whisper" && b.To == "":
		return nil, patch{}, badBody
	case route == "chat.room.join":
		p := patch{UID: b.Name, Set: obj{"room": b.Room}, Join: []string{"room." + b.Room}}
		if room != "" && room != b.Room {
			p.Leave = []string{"room." + room}
			toRoom(room, sid, "onLeave", obj{"name": b.Name})
		}
		toRoom(b.Room, sid, "onJoin", obj{"name": b.Name})
		return obj{"code": 200, "room": b.Room}, p, nil
	case route == "chat.room.whisper": // every gateway with a session of `to` answers; the first answer will do
		m := push("pith.user."+token(b.To)+".push", "onWhisper", obj{"from": uid, "text": b.Text})
		if _, err := nc.RequestMsg(m, time.Second); errors.Is(err, nats.ErrNoResponders) {
			return obj{"code": 404, "reason": "OFFLINE"}, patch{}, nil
		} else if err != nil {
			return nil, patch{}, &failure{504, "TIMEOUT", err.Error()}
		}
		return obj{"code": 200}, patch{}, nil
	case room == "" && (route == "chat.room.send" || route == "chat.room.leave"):
		return nil, patch{}, notInRoom
	case route == "chat.room.send":
		toRoom(room, sid, "onChat", obj{"from": uid, "text": b.Text})
		return obj{"code": 200}, patch{}, nil
	case route == "chat.room.leave":
		toRoom(room, sid, "onLeave", obj{"name": uid})
		return obj{"code": 200}, patch{Set: obj{"room": nil}, Leave: []string{"room." + room}}, nil
	}
	return nil, patch{}, &failure{404, "NO_ROUTE", "no such route: " + route}
}

// handle reads what the gateway sent, and answers unless it is a notify.
func handle(m *nats.Msg) {
	var data struct{ Room string }
	json.Unmarshal([]byte(header(m, "Pith-Data")), &data) // absent: nothing is forwarded
	sid, b, fail := header(m, "Pith-Sid"), body{}, badBody
	var answer any
	var p patch
	if json.Unmarshal(m.Data, &b) == nil {
		answer, p, fail = chat(strings.TrimPrefix(m.Subject, "pith.rpc."), sid, header(m, "Pith-Uid"), data.Room, b)
	}
	out := nats.NewMsg(m.Reply)
	switch {
	case m.Reply == "" && fail == nil && (p.Set != nil || p.Join != nil):
		out.Subject, out.Data = "pith.session."+sid+".patch", encode(p)
	case m.Reply == "":
		return
	case fail != nil:
		out.Header.Set("Nats-Service-Error-Code", strconv.Itoa(fail.code))
		out.Header.Set("Nats-Service-Error", fail.text)
		out.Header.Set("Pith-Error-Reason", fail.reason)
	default:
		out.Data = encode(answer)
		if p.UID != "" {
			out.Header.Set("Pith-Bind", escape(p.UID))
		}
		for name, v := range map[string]any{"Pith-Set": p.Set, "Pith-Join": p.Join, "Pith-Leave": p.Leave} {
			if js := headerJSON(v); js != "null" {
				out.Header.Set(name, js)
			}
		}
	}
	report(nc.PublishMsg(out))
}

// onClosed tells a room that one of its players has gone, on whichever gateway that was.
func onClosed(m *nats.Msg) {
	var event struct {
		Session struct {
			Sid, UID string
			Data     struct{ Room string }
		}
	}
	json.Unmarshal(m.Data, &event)
	if s := event.Session; s.Data.Room != "" {
		toRoom(s.Data.Room, s.Sid, "onLeave", obj{"name": s.UID})
	}
}

// toRoom pushes to everyone in a room except one session.
func toRoom(room, except, route string, v any) {
	m := push("pith.group."+token("room."+room)+".push", route, v)
	m.Header.Set("Pith-Except-Sids", headerJSON([]string{except}))
	report(nc.PublishMsg(m))
}

func main() {
	closed := make(chan struct{})
	opts := []nats.Option{nats.Name("chat"), nats.MaxReconnects(-1), nats.DrainTimeout(5 * time.Second),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) })}
	if user := os.Getenv("NATS_USER"); user != "" {
		opts = append(opts, nats.UserInfo(user, os.Getenv("NATS_PASSWORD")))
	}
	var err error
	if nc, err = nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), opts...); err != nil {
		log.Fatal(err)
	}
	if _, err = nc.QueueSubscribe("pith.rpc.chat.>", "chat", handle); err != nil {
		log.Fatal(err)
	}
	if _, err = nc.QueueSubscribe("pith.event.session.closed", "chat", onClosed); err != nil {
		log.Fatal(err)
	}
	if err = nc.Flush(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("chat on NATS: ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	if nc.Drain() != nil { // currently not connected
		nc.Close()
	}
	<-closed
}
