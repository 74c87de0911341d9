package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
)

// Pomelo's packets: a type, a length of three bytes, a body. https://github.com/NetEase/pomelo/wiki/Communication-Protocol
const (
	handshake    = 1
	handshakeAck = 2
	data         = 4
)

// entry is where a player connects.
type entry struct {
	Code int    `json:"code"`
	Host string `json:"host"`
	Port int    `json:"port"`
	Msg  string `json:"msg"`
}

// askGate asks any gateway, as a client, for one that is ready. Nano's dialect has no answer where there is none.
func askGate(gateway string, patience time.Duration) (where entry, err error) {
	conn, err := net.DialTimeout("tcp", gateway, patience)
	if err != nil {
		return where, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	from := bufio.NewReader(conn)

	send(conn, handshake, []byte(`{"sys":{"type":"login","version":"1.0.0"}}`))
	welcome, err := receive(from, handshake)
	if err != nil {
		return where, err
	}
	var said struct{ Code int }
	if err := json.Unmarshal(welcome, &said); err != nil || said.Code != 200 {
		return where, fmt.Errorf("handshake: %s %v", welcome, err)
	}
	send(conn, handshakeAck, nil)

	route := "gate.gateHandler.queryEntry"
	request := append([]byte{0, 1, byte(len(route))}, route...) // a request with id 1
	send(conn, data, append(request, "{}"...))
	answer, err := receive(from, data)
	if err != nil {
		return where, err
	}
	if len(answer) < 2 || answer[0]&0x0e != 4 || answer[1] != 1 { // a response to id 1
		return where, fmt.Errorf("unexpected message: %q", answer)
	}
	if err := json.Unmarshal(answer[2:], &where); err != nil {
		return where, err
	}
	if where.Code != 200 {
		return where, fmt.Errorf("%d %s", where.Code, where.Msg)
	}
	return where, nil
}

// send leaves errors to the read that follows.
func send(conn net.Conn, kind byte, body []byte) {
	packet := binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|uint32(len(body)))
	conn.Write(append(packet, body...))
}

// receive reads up to the next packet of a kind; others, as heartbeats, are passed over.
func receive(from *bufio.Reader, kind byte) ([]byte, error) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return nil, err
		}
		length := binary.BigEndian.Uint32(head[:]) & 0xffffff
		body := make([]byte, length)
		if _, err := io.ReadFull(from, body); err != nil {
			return nil, err
		}
		if head[0] == kind {
			return body, nil
		}
	}
}
