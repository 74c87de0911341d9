// Nano's own server with the routes of the chat, as an oracle of its dialect: what it says to a client, Pith says too.
// It listens on ADDR, by WebSocket.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lonng/nano"
	"github.com/lonng/nano/component"
	"github.com/lonng/nano/serialize/json"
	"github.com/lonng/nano/session"
)

// Room is exported since Nano looks for handlers on exported types only.
type Room struct {
	component.Base
	groups map[string]*nano.Group
}

type joinRequest struct {
	Name string `json:"name"`
	Room string `json:"room"`
}

type joinAnswer struct {
	Code int    `json:"code"`
	Room string `json:"room"`
}

type joined struct {
	Name string `json:"name"`
}

type sendRequest struct {
	Text string `json:"text"`
}

type sendAnswer struct {
	Code int `json:"code"`
}

type said struct {
	From string `json:"from"`
	Text string `json:"text"`
}

func (r *Room) Join(s *session.Session, in *joinRequest) error {
	group := r.groups[in.Room]
	if group == nil {
		group = nano.NewGroup(in.Room)
		r.groups[in.Room] = group
	}
	s.Set("name", in.Name)
	s.Set("room", in.Room)
	if err := group.Broadcast("onJoin", &joined{in.Name}); err != nil {
		return err
	}
	if err := group.Add(s); err != nil {
		return err
	}
	return s.Response(&joinAnswer{200, in.Room})
}

func (r *Room) Send(s *session.Session, in *sendRequest) error {
	group := r.groups[s.String("room")]
	if group == nil {
		return fmt.Errorf("join a room first")
	}
	others := func(one *session.Session) bool { return one.ID() != s.ID() }
	if err := group.Multicast("onChat", &said{s.String("name"), in.Text}, others); err != nil {
		return err
	}
	return s.Response(&sendAnswer{200})
}

func main() {
	addr := os.Getenv("ADDR")
	rooms := &component.Components{}
	rooms.Register(&Room{groups: map[string]*nano.Group{}},
		component.WithName("chat.room"), component.WithNameFunc(strings.ToLower))
	go func() {
		for {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				fmt.Println("nano is listening")
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	nano.Listen(addr,
		nano.WithIsWebsocket(true),
		nano.WithCheckOriginFunc(func(*http.Request) bool { return true }),
		nano.WithSerializer(json.NewSerializer()),
		nano.WithComponents(rooms))
}
