// A Go program that runs a gateway as its child: it starts it, waits until it listens, starts it again when it ends by
// itself, and drains it when it is told to stop. If this program is killed, the gateway drains by itself.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	firstPause = 250 * time.Millisecond // before a restart; it doubles up to lastPause
	lastPause  = 30 * time.Second
	steady     = 30 * time.Second // a gateway that has listened for so long makes the pause short again
	startTime  = 15 * time.Second // how long it may take to listen; with NATS or backends away it takes up to 7 s
)

// Exit codes of pith that no restart mends: wrong arguments, a Node that is too old, a wrong configuration.
var hopeless = map[int]bool{64: true, 69: true, 78: true}

// ready is the line that `pith serve --ready-fd` writes; deploy/README.md has its other members.
type ready struct {
	Gateway     string
	Clients     []string
	ControlPort int
	HealthPort  int
}

// gateway is one run of the child.
type gateway struct {
	cmd   *exec.Cmd
	held  *os.File      // stdin's other end: it closes when this program ends, however that happens
	ready chan ready    // gets one value once it listens; closed when there will be none
	ended chan struct{} // closed when it has ended
}

func start(command, args []string) (*gateway, error) {
	readyIn, readyOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdin, held, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, readyIn.Close(), readyOut.Close())
	}
	g := &gateway{held: held, ready: make(chan ready, 1), ended: make(chan struct{})}
	g.cmd = exec.Command(command[0], append(command[1:], append([]string{"serve", "--ready-fd", "3", "--exit-with-parent"}, args...)...)...)
	g.cmd.Stdin, g.cmd.Stdout, g.cmd.Stderr = stdin, os.Stdout, os.Stderr
	g.cmd.ExtraFiles = []*os.File{readyOut} // the first of them is descriptor 3
	// Ctrl-C reaches this program alone. The gateway would take the SIGTERM that follows for a second signal, and cut off its drain.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = g.cmd.Start()
	stdin.Close()
	readyOut.Close()
	if err != nil {
		return nil, errors.Join(err, readyIn.Close(), held.Close())
	}
	go func() {
		defer close(g.ready)
		defer readyIn.Close()
		var line ready
		if json.NewDecoder(readyIn).Decode(&line) == nil {
			g.ready <- line
		}
	}()
	go func() {
		g.cmd.Wait() // its exit code is in g.cmd.ProcessState
		g.held.Close()
		close(g.ended)
	}()
	return g, nil
}

// stop drains the gateway; after grace, or at a second signal, it is killed.
func (g *gateway) stop(grace time.Duration, again <-chan os.Signal) {
	g.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
		return
	case <-again:
	case <-time.After(grace):
	}
	log.Print("supervisor: the gateway is killed")
	g.cmd.Process.Kill()
	<-g.ended
}

// run supervises until a signal, and returns the exit code of this program.
func run(command, args []string, grace time.Duration, signals <-chan os.Signal) int {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		g, err := start(command, args)
		if err != nil {
			log.Printf("supervisor: %v", err)
			return 1
		}
		log.Printf("supervisor: started, pid %d", g.cmd.Process.Pid)
		starting, cancel := context.WithTimeout(context.Background(), startTime)
		began, listens := time.Now(), g.ready
		for running := true; running; {
			select {
			case <-signals:
				cancel()
				g.stop(grace, signals)
				log.Printf("supervisor: stopped, %v", g.cmd.ProcessState)
				return max(g.cmd.ProcessState.ExitCode(), 0)
			case r, ok := <-listens:
				listens = nil
				if ok {
					cancel()
					starting = context.Background()
					// From here on this program may send it players, or register it somewhere.
					log.Printf("supervisor: %s listens at %s, health on %d", r.Gateway, strings.Join(r.Clients, " "), r.HealthPort)
				}
			case <-starting.Done():
				starting = context.Background()
				log.Printf("supervisor: it does not listen within %v: killed", startTime)
				g.cmd.Process.Kill()
			case <-g.ended:
				running = false
			}
		}
		cancel()
		state := g.cmd.ProcessState
		if hopeless[state.ExitCode()] {
			log.Printf("supervisor: %v: a restart would not help", state)
			return state.ExitCode()
		}
		if time.Since(began) > steady {
			pause = firstPause
		}
		log.Printf("supervisor: ended by itself, %v; again in %v", state, pause)
		select {
		case <-signals:
			return 0
		case <-time.After(pause):
		}
	}
}

// main runs `$PITH serve` with its own arguments.
func main() {
	log.SetFlags(0)
	command := strings.Fields(cmp.Or(os.Getenv("PITH"), "pith"))
	grace, err := time.ParseDuration(cmp.Or(os.Getenv("GRACE"), "60s"))
	if err != nil {
		log.Fatalf("supervisor: GRACE: %v", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	os.Exit(run(command, os.Args[1:], grace, signals))
}
