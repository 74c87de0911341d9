// The HTTP login of Nano's mahjong clients: a guest gets an account, and the address of a gateway to play on.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const bodyBytesMax = 64 << 10

var (
	gateway = cmp.Or(os.Getenv("GATEWAY"), "127.0.0.1:3010") // where any gateway takes TCP
	channel = os.Getenv("CHANNEL")                           // the only one whose guests may play; empty: all
	secret  = []byte(cmp.Or(os.Getenv("SECRET"), "only for a demonstration"))
)

type loginRequest struct {
	AppID     string `json:"appId"`
	ChannelID string `json:"channelId"`
	IMEI      string `json:"imei"`
}

// loginResponse has the fields that the mahjong clients read. They connect to IP and Port, and send the others back
// in Manager.Login.
type loginResponse struct {
	Code     int          `json:"code"`
	Name     string       `json:"name"`
	UID      int64        `json:"uid"`
	HeadURL  string       `json:"headUrl"`
	Cards    int64        `json:"fangka"`
	Sex      int          `json:"sex"`
	IP       string       `json:"ip"`
	Port     int          `json:"port"`
	PlayerIP string       `json:"playerIp"`
	Config   clientConfig `json:"config"`
	Messages []string     `json:"messages"`
	Clubs    []struct{}   `json:"clubList"`
	Debug    int          `json:"debug"`
}

type clientConfig struct {
	Version     string `json:"version"`
	Heartbeat   int    `json:"heartbeat"`
	ForceUpdate bool   `json:"forceUpdate"`
}

// query says whether guests may play.
func query(w http.ResponseWriter, r *http.Request) {
	var in loginRequest
	if read(w, r, &in) {
		answer(w, http.StatusOK, map[string]any{"code": 0, "guest": mayPlay(in)})
	}
}

// guest makes an account for a device, the same each time, and says where to play.
func guest(w http.ResponseWriter, r *http.Request) {
	var in loginRequest
	if !read(w, r, &in) {
		return
	}
	if in.IMEI == "" || !mayPlay(in) {
		fail(w, http.StatusForbidden, "guests of this channel may not play")
		return
	}
	where, err := askGate(gateway, 3*time.Second)
	if err != nil {
		log.Print("gate: ", err)
		fail(w, http.StatusServiceUnavailable, "no gateway is ready; try again")
		return
	}
	uid := uidOf(in)
	playerIP, _, _ := net.SplitHostPort(r.RemoteAddr)
	answer(w, http.StatusOK, loginResponse{
		Name: fmt.Sprint("G", uid), UID: uid, Cards: 10, Sex: 1,
		IP: where.Host, Port: where.Port, PlayerIP: playerIP,
		Config:   clientConfig{Version: "1.9.3", Heartbeat: 30},
		Messages: []string{}, Clubs: []struct{}{},
	})
}

// login is the first request over the gateway, which Pith posts. The clients send no proof of who they are, only what
// they were told: a real service gives them a token, and asks for it here.
func login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		UID     int64  `json:"uid"`
		Name    string `json:"name"`
		HeadURL string `json:"headUrl"`
		Sex     int    `json:"sex"`
		Cards   int64  `json:"fangka"`
	}
	if !read(w, r, &in) {
		return
	}
	if in.UID <= 0 || in.Name != fmt.Sprint("G", in.UID) {
		fail(w, http.StatusForbidden, "log in over HTTP first")
		return
	}
	w.Header().Set("Pith-Bind", fmt.Sprint(in.UID))
	answer(w, http.StatusOK, map[string]any{
		"acId": in.UID, "nickname": in.Name, "headURL": in.HeadURL, "sex": in.Sex, "fangka": in.Cards,
	})
}

func mayPlay(in loginRequest) bool { return channel == "" || in.ChannelID == channel }

// uidOf needs no database: 48 bits, which every client's numbers hold.
func uidOf(in loginRequest) int64 {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%q %q", in.AppID, in.IMEI)
	return int64(binary.BigEndian.Uint64(mac.Sum(nil))>>16 | 1)
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyBytesMax)).Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "a JSON object is needed")
		return false
	}
	return true
}

func fail(w http.ResponseWriter, status int, msg string) {
	answer(w, status, map[string]any{"code": status, "error": msg, "msg": msg})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func main() {
	http.HandleFunc("POST /v1/user/login/query", query)
	http.HandleFunc("POST /v1/user/login/guest", guest)
	http.HandleFunc("POST /Manager/Login", login)
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:12307"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("login: listening on", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	server.Shutdown(patience) // answers what is in flight
}
