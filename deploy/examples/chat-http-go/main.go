// The chat as an ordinary HTTP service: net/http and JSON, and none of Pith's code.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type obj = map[string]any

type body struct{ Name, Room, Text, To, UID string }

// failure is an application error: the client gets code, reason and msg. The code is also the status.
type failure struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	Msg    string `json:"msg"`
}

var (
	badBody   = &failure{400, "BAD_BODY", "a JSON object with the fields of this route is needed"}
	notInRoom = &failure{400, "NOT_IN_ROOM", "join a room first"}
	gateway   = cmp.Or(os.Getenv("GATEWAY"), "http://127.0.0.1:7071") // the admin port of any gateway
	client    = &http.Client{Timeout: 5 * time.Second}
	rooms     sync.Map // uid → room, for /status
)

// request is what the gateway posted: the sender, from the headers, and the body.
type request struct {
	sid, uid, room string
	body           body
}

// changes go into the headers of the answer; they take effect before the client gets it.
func changes(w http.ResponseWriter, values obj) {
	for name, v := range values {
		w.Header().Set(name, escape(encode(v)))
	}
}

func join(w http.ResponseWriter, r request) (any, *failure) {
	name, room := r.body.Name, r.body.Room
	if name == "" || room == "" {
		return nil, badBody
	}
	changes(w, obj{"Pith-Set": obj{"room": room}, "Pith-Join": []string{"room." + room}})
	w.Header().Set("Pith-Bind", escape(name))
	if r.room != "" && r.room != room {
		changes(w, obj{"Pith-Leave": []string{"room." + r.room}})
		toRoom(r.room, r.sid, "onLeave", obj{"name": name})
	}
	rooms.Store(name, room)
	toRoom(room, r.sid, "onJoin", obj{"name": name})
	return obj{"code": 200, "room": room}, nil
}

func send(_ http.ResponseWriter, r request) (any, *failure) {
	if r.room == "" {
		return nil, notInRoom
	}
	toRoom(r.room, r.sid, "onChat", obj{"from": r.uid, "text": r.body.Text})
	return obj{"code": 200}, nil
}

func leave(w http.ResponseWriter, r request) (any, *failure) {
	if r.room == "" {
		return nil, notInRoom
	}
	changes(w, obj{"Pith-Set": obj{"room": nil}, "Pith-Leave": []string{"room." + r.room}})
	rooms.Delete(r.uid)
	toRoom(r.room, r.sid, "onLeave", obj{"name": r.uid})
	return obj{"code": 200}, nil
}

func whisper(_ http.ResponseWriter, r request) (any, *failure) {
	if r.body.To == "" {
		return nil, badBody
	}
	if push(obj{"uids": []string{r.body.To}}, "onWhisper", obj{"from": r.uid, "text": r.body.Text}) == 0 {
		return obj{"code": 404, "reason": "OFFLINE"}, nil
	}
	return obj{"code": 200}, nil
}

// status says where a player is; a browser may ask, too, with /status?uid=ann.
func status(_ http.ResponseWriter, r request) (any, *failure) {
	room, online := rooms.Load(r.body.UID)
	return obj{"code": 200, "uid": r.body.UID, "online": online, "room": room}, nil
}

// closed is notified of sessions that have ended; the gateway remembers the room.
func closed(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Session struct {
			SID, UID string
			Data     struct{ Room string }
		}
	}
	json.NewDecoder(r.Body).Decode(&event)
	w.WriteHeader(http.StatusNoContent)
	gone := event.Session
	rooms.Delete(gone.UID)
	if gone.Data.Room != "" {
		toRoom(gone.Data.Room, gone.SID, "onLeave", obj{"name": gone.UID})
	}
}

// route turns the function of one route into an HTTP handler.
func route(do func(http.ResponseWriter, request) (any, *failure)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var data struct{ Room string }
		json.Unmarshal([]byte(fact(r, "Pith-Data")), &data) // absent: nothing is forwarded
		in := request{sid: fact(r, "Pith-Sid"), uid: fact(r, "Pith-Uid"), room: data.Room}
		in.body.UID = r.URL.Query().Get("uid")
		raw, err := io.ReadAll(r.Body)
		var answer any
		fail := badBody
		if err == nil && (r.Method == http.MethodGet || json.Unmarshal(raw, &in.body) == nil) {
			answer, fail = do(w, in)
		}
		w.Header().Set("Content-Type", "application/json")
		if fail != nil {
			w.WriteHeader(fail.Code)
			answer = fail
		}
		io.WriteString(w, encode(answer))
	}
}

// toRoom pushes to everyone in a room except one session.
func toRoom(room, except, event string, v any) {
	push(obj{"groups": []string{"room." + room}, "except_sids": []string{except}}, event, v)
}

// push asks a gateway to push, wherever in the fleet the target is, and returns how many sessions got it.
func push(target obj, event string, v any) (delivered int) {
	ask := encode(obj{"push": obj{"target": target, "route": event, "body": obj{"json": v}}})
	answer, err := client.Post(gateway+"/v1/Push", "application/json", bytes.NewBufferString(ask))
	if err != nil {
		log.Print(err)
		return 0
	}
	defer answer.Body.Close()
	var result struct{ Delivered int }
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil || answer.StatusCode != http.StatusOK {
		log.Print("push: ", answer.Status, " ", err)
	}
	return result.Delivered
}

// fact reads one of Pith's headers, whose values are escaped.
func fact(r *http.Request, name string) string {
	value := r.Header.Get(name)
	if plain, err := url.PathUnescape(value); err == nil {
		return plain
	}
	return value
}

// escape writes everything but plain ASCII as %XX; escaping more than necessary does no harm.
func escape(value string) string { return url.PathEscape(value) }

// encode encodes v, which consists of maps, lists and strings, as JSON.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// leaving is true from SIGTERM on.
var leaving atomic.Bool

func serve(w http.ResponseWriter, r *http.Request) {
	if leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	http.DefaultServeMux.ServeHTTP(w, r)
}

func main() {
	for path, do := range map[string]func(http.ResponseWriter, request) (any, *failure){
		"POST /chat/room/join": join, "POST /chat/room/send": send, "POST /chat/room/leave": leave,
		"POST /chat/room/whisper": whisper, "POST /status": status, "GET /status": status,
	} {
		http.HandleFunc(path, route(do))
	}
	http.HandleFunc("POST /pith/closed", closed)
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("chat on HTTP: listening on", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(serve), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	// Closing a connection just as a request comes over it would lose that request, so the gateway closes them: at the
	// next answer, or when nothing was asked for 1.5 seconds.
	leaving.Store(true)
	time.Sleep(2 * time.Second)
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	server.Shutdown(patience) // answers what is in flight
}
