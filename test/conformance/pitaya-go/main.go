// Pitaya's own client for Go, driven by a test: one JSON object a line comes in and says what to do, one goes out for
// each thing that happened.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/topfreegames/pitaya/v3/pkg/client"
	"github.com/topfreegames/pitaya/v3/pkg/conn/message"
)

// What comes in. Do is connect, request, notify or disconnect.
type order struct {
	Do    string          `json:"do"`
	Addr  string          `json:"addr"`
	Path  string          `json:"path"` // not empty: by WebSocket
	CA    string          `json:"ca"`   // PEM, not empty: by TLS
	Key   int             `json:"key"`  // what the answer is asked by
	Route string          `json:"route"`
	Body  json.RawMessage `json:"body"`
}

// What goes out. Event is connected, failed, sent, answer, push or closed.
type event struct {
	Event string `json:"event"`
	Key   int    `json:"key,omitempty"`
	ID    uint   `json:"id,omitempty"`
	Route string `json:"route,omitempty"`
	Body  string `json:"body,omitempty"`
	IsErr bool   `json:"isErr,omitempty"`
}

var out = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func tell(e event) {
	out.Lock()
	defer out.Unlock()
	if err := out.Encode(e); err != nil {
		os.Exit(1)
	}
}

func main() {
	c := client.New(logrus.ErrorLevel)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			tell(event{Event: "failed", Body: err.Error()})
			continue
		}
		if err := do(c, o); err != nil {
			tell(event{Event: "failed", Key: o.Key, Body: err.Error()})
		}
	}
}

func do(c *client.Client, o order) error {
	switch o.Do {
	case "connect":
		if err := connect(c, o); err != nil {
			return err
		}
		tell(event{Event: "connected"})
		go follow(c)
	case "request":
		id, err := c.SendRequest(o.Route, o.Body)
		if err != nil {
			return err
		}
		tell(event{Event: "sent", Key: o.Key, ID: id})
	case "notify":
		return c.SendNotify(o.Route, o.Body)
	case "disconnect":
		c.Disconnect()
	}
	return nil
}

func connect(c *client.Client, o order) error {
	var config []*tls.Config
	if o.CA != "" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(o.CA))
		config = append(config, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	}
	if o.Path != "" {
		return c.ConnectToWS(o.Addr, o.Path, config...)
	}
	return c.ConnectTo(o.Addr, config...)
}

// follow tells what the client passes on. It never closes its channel, so the end of the connection is not told.
func follow(c *client.Client) {
	for m := range c.MsgChannel() {
		switch m.Type {
		case message.Response:
			tell(event{Event: "answer", ID: m.ID, Body: string(m.Data), IsErr: m.Err})
		case message.Push:
			tell(event{Event: "push", Route: m.Route, Body: string(m.Data)})
		}
	}
}
