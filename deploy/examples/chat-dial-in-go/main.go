// The chat as a WebSocket client of the gateway, for a machine that the gateway cannot connect to: it attaches, and
// answers the frames of a Link as JSON. None of Pith's code, and nothing generated.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

type obj = map[string]any

// chat handles one request or notify. The reply carries the changes of the session, and the pushes.
func chat(req *request) *reply {
	var b struct{ Name, Room, Text, To string }
	sid, uid, room := req.Session.SID, req.Session.UID, req.Session.Data.Room // Room is there because the route forwards it
	bad := json.Unmarshal(req.Body, &b) != nil
	toRoom := func(room, route string, v any) push {
		return push{&target{Groups: []string{"room." + room}, ExceptSIDs: []string{sid}}, route, &body{v}}
	}
	switch {
	case bad, req.Route == "chat.room.join" && (b.Name == "" || b.Room == ""), req.Route == "chat.room.whisper" && b.To == "":
		return fail(400, "BAD_BODY", "a JSON object with the fields of this route is needed")
	case req.Route == "chat.room.join":
		r := answer(obj{"code": 200, "room": b.Room}, toRoom(b.Room, "onJoin", obj{"name": b.Name}))
		r.Patch = &patch{UID: b.Name, Set: obj{"room": b.Room}, Join: []string{"room." + b.Room}}
		if room != "" && room != b.Room {
			r.Patch.Leave = []string{"room." + room}
			r.Pushes = append(r.Pushes, toRoom(room, "onLeave", obj{"name": b.Name}))
		}
		return r
	case req.Route == "chat.room.whisper":
		return answer(obj{"code": 200}, push{&target{UIDs: []string{b.To}}, "onWhisper", &body{obj{"from": uid, "text": b.Text}}})
	case room == "" && (req.Route == "chat.room.send" || req.Route == "chat.room.leave"):
		return fail(400, "NOT_IN_ROOM", "join a room first")
	case req.Route == "chat.room.send":
		return answer(obj{"code": 200}, toRoom(room, "onChat", obj{"from": uid, "text": b.Text}))
	case req.Route == "chat.room.leave":
		r := answer(obj{"code": 200}, toRoom(room, "onLeave", obj{"name": uid}))
		r.Patch = &patch{Set: obj{"room": nil}, Leave: []string{"room." + room}}
		return r
	}
	return fail(404, "NO_ROUTE", "no such route: "+req.Route)
}

// serve attaches once and answers until the gateway or `stop` ends it.
func serve(ctx context.Context, url string, stop context.Context) error {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(16 << 20)
	host, _ := os.Hostname()
	first := hello{Backend: cmp.Or(os.Getenv("BACKEND"), "chat"), Token: os.Getenv("TOKEN"),
		Instance: cmp.Or(os.Getenv("INSTANCE"), host), Version: "1.0.0"}
	if err := wsjson.Write(ctx, conn, message{[]frame{{Hello: &first}}}); err != nil {
		return err
	}
	// After the goaway the gateway sends new work elsewhere, waits for our answers, and closes.
	defer context.AfterFunc(stop, func() {
		wsjson.Write(ctx, conn, message{[]frame{{Goaway: &goaway{"shutdown"}}}})
	})()
	for {
		var in message
		if err := wsjson.Read(ctx, conn, &in); err != nil {
			return err
		}
		if out := framesFor(in); len(out) > 0 {
			if err := wsjson.Write(ctx, conn, message{out}); err != nil {
				return err
			}
		}
	}
}

// main keeps a connection to GATEWAY until SIGTERM, after which it has 5 seconds.
func main() {
	url := cmp.Or(os.Getenv("GATEWAY"), "ws://127.0.0.1:7071/v1/attach")
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	context.AfterFunc(stop, func() { time.AfterFunc(5*time.Second, end) })
	for wait := 100 * time.Millisecond; stop.Err() == nil; wait = min(2*wait, 5*time.Second) {
		began := time.Now()
		err := serve(ctx, url, stop)
		switch websocket.CloseStatus(err) {
		case websocket.StatusPolicyViolation: // a retry would not help
			log.Fatal(err)
		case websocket.StatusNormalClosure:
		default:
			fmt.Println("away:", err)
		}
		if time.Since(began) > 10*time.Second {
			wait = 100 * time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-stop.Done():
		}
	}
}
