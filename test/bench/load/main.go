// A load of Pomelo clients over WebSocket or TCP: each connection keeps a number of requests in flight. With -push they
// wait for pushes instead: the first asks for one to all of them, and again when all have it, but no sooner than -every.
// Prints "begin" when the measured time begins, "end" when it ends, and one JSON line once all have gone.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	addr     = flag.String("addr", "127.0.0.1:3010", "host:port")
	conns    = flag.Int("conns", 1000, "connections")
	inflight = flag.Int("inflight", 1, "requests in flight per connection")
	warm     = flag.Duration("warm", 2*time.Second, "time before the measurement")
	measure  = flag.Duration("measure", 4*time.Second, "time of the measurement")
	echo     = flag.Bool("echo", false, "plain WebSocket echo instead of Pomelo")
	tcp      = flag.Bool("tcp", false, "packets on TCP, without WebSocket")
	push     = flag.Bool("push", false, "pushes to all, for which the first connection asks")
	every    = flag.Duration("every", 0, "least time between pushes")
	route    = flag.String("route", "area.echoHandler.echo", "route of the requests")
)

var (
	measuring atomic.Bool
	stopping  atomic.Bool
	answered  atomic.Int64
	wrong     atomic.Int64
	pushed    atomic.Int64
	asked     atomic.Int64 // when, in nanoseconds since the start
)

var began = time.Now()

const body = `{"text":"0123456789012345678901234567890123456789012345678901234"}`

// frame is a masked client frame; the mask is fixed, since its cost is what counts. On TCP a packet needs none.
func frame(payload []byte) []byte {
	if *tcp {
		return payload
	}
	mask := [4]byte{0x5a, 0x17, 0xc3, 0x88}
	head := []byte{0x82, 0x80 | byte(len(payload))}
	if len(payload) >= 126 {
		head = []byte{0x82, 0xfe, byte(len(payload) >> 8), byte(len(payload))}
	}
	out := append(head, mask[:]...)
	for i, b := range payload {
		out = append(out, b^mask[i&3])
	}
	return out
}

func packet(kind byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}, payload...)
}

// request has a one-byte id: ids are reused once answered.
func request(id byte) []byte {
	message := append([]byte{0, id, byte(len(*route))}, *route...)
	return packet(4, append(message, body...))
}

func readPacket(r *bufio.Reader, buffer []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buffer[:4]); err != nil {
		return nil, err
	}
	n := 4 + int(buffer[1])<<16 + int(buffer[2])<<8 + int(buffer[3])
	if n > len(buffer) {
		return nil, fmt.Errorf("a packet of %d bytes", n)
	}
	_, err := io.ReadFull(r, buffer[4:n])
	return buffer[:n], err
}

func readFrame(r *bufio.Reader, buffer []byte) ([]byte, error) {
	if *tcp {
		return readPacket(r, buffer)
	}
	var head [10]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return nil, err
	}
	n := int(head[1] & 0x7f)
	switch n {
	case 126:
		if _, err := io.ReadFull(r, head[2:4]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(head[2:4]))
	case 127:
		if _, err := io.ReadFull(r, head[2:10]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint64(head[2:10]))
	}
	if n > len(buffer) {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	_, err := io.ReadFull(r, buffer[:n])
	return buffer[:n], err
}

func open() (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", *addr)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, 8192)
	if *tcp {
		return conn, r, greet(conn, r)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, nil, err
		}
		if line == "\r\n" {
			break
		}
	}
	if *echo {
		return conn, r, nil
	}
	return conn, r, greet(conn, r)
}

// greet is the handshake and its ack.
func greet(conn net.Conn, r *bufio.Reader) error {
	if _, err := conn.Write(frame(packet(1, []byte(`{"sys":{"type":"load","version":"1"},"user":{}}`)))); err != nil {
		return err
	}
	if _, err := readFrame(r, make([]byte, 4096)); err != nil {
		return err
	}
	_, err := conn.Write(frame(packet(2, nil)))
	return err
}

// receive counts pushes. Whoever has the last one of a round asks for the next by the connection `asks`.
func receive(conn net.Conn, r *bufio.Reader, asks net.Conn, latencies *[]time.Duration) {
	defer conn.Close()
	ask := frame(request(1))
	if conn == asks {
		asked.Store(int64(time.Since(began)))
		conn.Write(ask)
	}
	buffer := make([]byte, 8192)
	for !stopping.Load() {
		got, err := readFrame(r, buffer)
		if err != nil {
			if !stopping.Load() {
				wrong.Add(1)
			}
			return
		}
		// A push: type 4, length, flag 0x06. The answer to the request is 0x04.
		if len(got) < 7 || got[0] != 4 || got[4] != 6 {
			if got[0] == 4 && got[4] != 4 {
				wrong.Add(1)
			}
			continue
		}
		if measuring.Load() {
			answered.Add(1)
		}
		if pushed.Add(1) < int64(*conns) {
			continue
		}
		pushed.Store(0)
		now := time.Since(began)
		if measuring.Load() {
			*latencies = append(*latencies, now-time.Duration(asked.Load()))
		}
		// Nobody waits for this one meanwhile: nothing comes before it has asked.
		time.Sleep(time.Duration(asked.Load()) + *every - now)
		asked.Store(int64(time.Since(began)))
		asks.Write(ask)
	}
}

func run(conn net.Conn, r *bufio.Reader, latencies *[]time.Duration) {
	defer conn.Close()
	ids := *inflight
	frames := make([][]byte, ids+1)
	sent := make([]time.Time, ids+1)
	for id := 1; id <= ids; id++ {
		frames[id] = frame(request(byte(id)))
		sent[id] = time.Now()
		if _, err := conn.Write(frames[id]); err != nil {
			wrong.Add(1)
			return
		}
	}
	buffer := make([]byte, 8192)
	var next []byte
	for !stopping.Load() {
		// What one read has answered is asked again in one write.
		if len(next) > 0 && r.Buffered() == 0 {
			if _, err := conn.Write(next); err != nil {
				return
			}
			next = next[:0]
		}
		got, err := readFrame(r, buffer)
		if err != nil {
			if !stopping.Load() {
				wrong.Add(1)
			}
			return
		}
		// A response: type 4, length, flag 0x04, the id. The echo gives the request itself back.
		if len(got) < 7 || got[0] != 4 || (!*echo && got[4] != 4) {
			if got[0] == 4 {
				wrong.Add(1)
			}
			continue
		}
		id := got[5]
		if id == 0 || int(id) > ids {
			wrong.Add(1)
			continue
		}
		now := time.Now()
		if measuring.Load() {
			answered.Add(1)
			*latencies = append(*latencies, now.Sub(sent[id]))
		}
		sent[id] = now
		next = append(next, frames[id]...)
	}
}

func cpu() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	flag.Parse()
	all := make([][]time.Duration, *conns)
	sockets := make([]net.Conn, *conns)
	readers := make([]*bufio.Reader, *conns)
	for i := range sockets {
		var err error
		if sockets[i], readers[i], err = open(); err != nil {
			fmt.Fprintln(os.Stderr, "connect:", err)
			os.Exit(1)
		}
	}
	var done sync.WaitGroup
	for i := range sockets {
		done.Add(1)
		go func() {
			defer done.Done()
			if *push {
				receive(sockets[i], readers[i], sockets[0], &all[i])
			} else {
				run(sockets[i], readers[i], &all[i])
			}
		}()
	}
	time.Sleep(*warm)
	fmt.Println("begin")
	before, at := cpu(), time.Now()
	measuring.Store(true)
	time.Sleep(*measure)
	measuring.Store(false)
	took, used := time.Since(at), cpu()-before
	fmt.Println("end")
	count := answered.Load()
	stopping.Store(true)
	for _, conn := range sockets {
		conn.Close()
	}
	done.Wait()
	var latencies []time.Duration
	for _, some := range all {
		latencies = append(latencies, some...)
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	at99, at50 := time.Duration(0), time.Duration(0)
	if len(latencies) > 0 {
		at50, at99 = latencies[len(latencies)/2], latencies[len(latencies)*99/100]
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"messages": count, "seconds": took.Seconds(), "wrong": wrong.Load(),
		"p50_us": at50.Microseconds(), "p99_us": at99.Microseconds(),
		"own_core": used.Seconds() / took.Seconds(),
	})
}
