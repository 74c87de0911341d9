// How Pith encodes subject tokens, header values and pushes.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/nats-io/nats.go"
)

var plain = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// token turns any string into one subject token.
func token(s string) string {
	if plain.MatchString(s) {
		return s
	} else if len(s) <= 96 {
		return "=" + base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	sum := sha256.Sum256([]byte(s))
	return "=h" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// header reads a header, whatever the case of its name.
func header(m *nats.Msg, name string) string {
	for k, v := range m.Header {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return unescape(v[0])
		}
	}
	return ""
}

// escape keeps 0x21 to 0x7E except %, and writes every other byte of the UTF-8 as %XX.
func escape(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c > 0x20 && c < 0x7f && c != '%' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// unescape undoes escape; a % without two hex digits stands for itself.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(b))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// headerJSON encodes v as JSON in ASCII, escaped for a header.
func headerJSON(v any) string {
	var out strings.Builder
	for _, r := range string(encode(v)) {
		if r < 0x80 {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return escape(out.String())
}

// encode encodes v, which consists of maps, lists and strings, as JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// push is a message that becomes a push, once published.
func push(subject, route string, v any) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{"Pith-Route": {route}}, Data: encode(v)}
}

func report(err error) {
	if err != nil {
		log.Print(err)
	}
}
