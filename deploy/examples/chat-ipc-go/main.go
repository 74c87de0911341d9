// The chat on a Unix socket: one JSON object per line, and none of Pith's code.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type obj = map[string]any

// line is what the gateway writes: a request, or a notify if it has no seq_id.
type line struct {
	Cmd     string          `json:"cmd"`
	Payload json.RawMessage `json:"payload"`
	SeqID   int             `json:"seq_id"`
	Session struct {
		SID  string         `json:"sid"`
		UID  string         `json:"uid"`
		Data map[string]any `json:"data"`
	} `json:"session"`
}

// answer goes back with the number of its request. The patch takes effect before the client gets the answer.
type answer struct {
	SeqID   int      `json:"seq_id"`
	Payload any      `json:"payload,omitempty"`
	Error   *failure `json:"error,omitempty"`
	Patch   obj      `json:"patch,omitempty"`
}

// failure is an application error: the client gets code, reason and message.
type failure struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	Msg    string `json:"msg"`
}

type body struct{ Name, Room, Text, To string }

var (
	badBody   = &failure{400, "BAD_BODY", "a JSON object with the fields of this route is needed"}
	notInRoom = &failure{400, "NOT_IN_ROOM", "join a room first"}
)

// gateway is one connection; each gateway opens its own. Handlers of several lines write to it.
type gateway struct {
	one *sync.Mutex // a line at a time
	out *json.Encoder
}

func (g gateway) say(v any) {
	g.one.Lock()
	defer g.one.Unlock()
	if err := g.out.Encode(v); err != nil {
		log.Print(err)
	}
}

// push sends a push to a target, which is one of sid, uid, group and all.
func (g gateway) push(target obj, route string, payload any) {
	push := obj{"cmd": "push", "route": route, "payload": payload}
	for name, value := range target {
		push[name] = value
	}
	g.say(push)
}

// toRoom pushes to everyone in a room except one session.
func (g gateway) toRoom(room, except, route string, payload any) {
	g.push(obj{"group": "room." + room, "except_sids": []string{except}}, route, payload)
}

// chat handles one route, and returns what the client gets and what changes in its session.
func (g gateway) chat(in line, b body) (payload any, patch obj, fail *failure) {
	sid, uid := in.Session.SID, in.Session.UID
	room, _ := in.Session.Data["room"].(string) // there because the route forwards it
	switch {
	case in.Cmd == "chat.room.join" && (b.Name == "" || b.Room == ""), in.Cmd == "chat.room.whisper" && b.To == "":
		return nil, nil, badBody
	case in.Cmd == "chat.room.join":
		patch := obj{"uid": b.Name, "set": obj{"room": b.Room}, "join": []string{"room." + b.Room}}
		if room != "" && room != b.Room {
			patch["leave"] = []string{"room." + room}
			g.toRoom(room, sid, "onLeave", obj{"name": b.Name})
		}
		g.toRoom(b.Room, sid, "onJoin", obj{"name": b.Name})
		return obj{"code": 200, "room": b.Room}, patch, nil
	case in.Cmd == "chat.room.whisper": // nothing tells whether `to` is online
		g.push(obj{"uid": b.To}, "onWhisper", obj{"from": uid, "text": b.Text})
		return obj{"code": 200}, nil, nil
	case room == "" && (in.Cmd == "chat.room.send" || in.Cmd == "chat.room.leave"):
		return nil, nil, notInRoom
	case in.Cmd == "chat.room.send":
		g.toRoom(room, sid, "onChat", obj{"from": uid, "text": b.Text})
		return obj{"code": 200}, nil, nil
	case in.Cmd == "chat.room.leave":
		g.toRoom(room, sid, "onLeave", obj{"name": uid})
		return obj{"code": 200}, obj{"set": obj{"room": nil}, "leave": []string{"room." + room}}, nil
	}
	return nil, nil, &failure{404, "NO_ROUTE", "no such route: " + in.Cmd}
}

// serve reads the lines of one gateway until it disconnects.
func serve(g gateway, conn net.Conn) {
	defer conn.Close()
	lines := json.NewDecoder(conn)
	for {
		var in line
		if lines.Decode(&in) != nil { // usually io.EOF: the gateway has stopped, or has left us for another
			return
		}
		if in.Cmd == "pith.closed" {
			if room, _ := in.Session.Data["room"].(string); room != "" { // the gateway remembers it
				g.toRoom(room, in.Session.SID, "onLeave", obj{"name": in.Session.UID})
			}
			continue
		}
		b, out := body{}, answer{SeqID: in.SeqID, Error: badBody}
		if json.Unmarshal(in.Payload, &b) == nil {
			out.Payload, out.Patch, out.Error = g.chat(in, b)
		}
		if in.SeqID != 0 {
			g.say(out)
		} else if out.Patch != nil { // a notify has no answer that could carry the patch
			g.say(obj{"cmd": "patch", "sid": in.Session.SID, "patch": out.Patch})
		}
	}
}

func main() {
	path := cmp.Or(os.Getenv("SOCKET"), "/tmp/pith-chat.sock")
	// Bound beside it and renamed: so it takes over from a process that is still there, which removes only its own name.
	own := fmt.Sprintf("%s.%d", path, os.Getpid())
	os.Remove(own) // left by a process that was killed
	listener, err := net.Listen("unix", own)
	if err == nil {
		err = os.Rename(own, path)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("chat on IPC: listening on", path)
	var open sync.Map // gateways
	var work sync.WaitGroup
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		listener.Close()
	}()
	for {
		conn, err := listener.Accept()
		if err != nil { // closed above
			break
		}
		g := gateway{&sync.Mutex{}, json.NewEncoder(conn)}
		open.Store(g, nil)
		work.Go(func() { serve(g, conn); open.Delete(g) })
	}
	// Each gateway closes its connection when it has what is due, and goes to the process that has taken over.
	time.AfterFunc(5*time.Second, func() { os.Exit(0) })
	open.Range(func(g, _ any) bool {
		g.(gateway).say(obj{"cmd": "goaway", "reason": "shutdown"})
		return true
	})
	work.Wait()
}
