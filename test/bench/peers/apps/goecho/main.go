// The floor in Go: WebSocket echo with gorilla/websocket, which Pitaya and Nano use, a goroutine for each connection.
// With -make-cert it only writes a certificate for 127.0.0.1 and its key into that folder.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gorilla/websocket"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func makeCert(dir string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "127.0.0.1"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	write := func(name, kind string, der []byte) {
		check(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write("cert.pem", "CERTIFICATE", cert)
	write("key.pem", "PRIVATE KEY", private)
}

func main() {
	listen := flag.String("listen", "", "address")
	cert := flag.String("cert", "", "file; empty: plain")
	key := flag.String("key", "", "file")
	dir := flag.String("make-cert", "", "folder")
	flag.Parse()
	if *dir != "" {
		makeCert(*dir)
		return
	}
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, data) != nil {
				return
			}
		}
	})
	listener, err := net.Listen("tcp", *listen)
	check(err)
	fmt.Println("listening on", listener.Addr())
	if *cert != "" {
		log.Fatal(http.ServeTLS(listener, echo, *cert, *key))
	}
	log.Fatal(http.Serve(listener, echo))
}
