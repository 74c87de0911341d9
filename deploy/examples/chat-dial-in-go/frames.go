// The part of pith.v1 that this chat needs, as JSON: names as in the .proto, bytes in base64.
package main

import "fmt"

// message is a ToBackend when received, and a ToGateway when sent.
type message struct {
	Frames []frame `json:"frames"`
}

type frame struct {
	ID      uint32   `json:"id,omitempty"`
	Hello   *hello   `json:"hello,omitempty"`
	Request *request `json:"request,omitempty"` // from the gateway
	Closed  *closed  `json:"closed,omitempty"`  // from the gateway
	Reply   *reply   `json:"reply,omitempty"`
	Push    *push    `json:"push,omitempty"`
	Verb    *verb    `json:"verb,omitempty"`
	Goaway  *goaway  `json:"goaway,omitempty"`
}

// hello is also the gateway's, with its name and version.
type hello struct {
	Gateway  string `json:"gateway,omitempty"`
	Backend  string `json:"backend,omitempty"`
	Token    string `json:"token,omitempty"`
	Instance string `json:"instance,omitempty"`
	Version  string `json:"version,omitempty"`
}

type session struct {
	SID  string `json:"sid"`
	UID  string `json:"uid"`
	Data struct {
		Room string `json:"room"`
	} `json:"data"`
}

type request struct {
	Session session `json:"session"`
	Route   string  `json:"route"`
	Notify  bool    `json:"notify"`
	Body    []byte  `json:"body"`
}

type closed struct {
	Session session `json:"session"`
}

type reply struct {
	Body   *body    `json:"body,omitempty"`
	Error  *failure `json:"error,omitempty"`
	Patch  *patch   `json:"patch,omitempty"`
	Pushes []push   `json:"pushes,omitempty"`
}

// body holds any JSON; bytes and text are the other two forms.
type body struct {
	JSON any `json:"json"`
}

type failure struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

type patch struct {
	UID   string   `json:"uid,omitempty"`
	Set   obj      `json:"set,omitempty"`
	Join  []string `json:"join,omitempty"`
	Leave []string `json:"leave,omitempty"`
}

type target struct {
	SIDs       []string `json:"sids,omitempty"`
	UIDs       []string `json:"uids,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	ExceptSIDs []string `json:"except_sids,omitempty"`
}

type push struct {
	Target *target `json:"target,omitempty"`
	Route  string  `json:"route"`
	Body   *body   `json:"body"`
}

type verb struct {
	Target *target `json:"target"`
	Patch  *patch  `json:"patch,omitempty"`
}

type goaway struct {
	Reason string `json:"reason"`
}

// framesFor answers the frames of one message, in order.
func framesFor(in message) (out []frame) {
	for _, f := range in.Frames {
		switch {
		case f.Hello != nil:
			fmt.Println("chat: attached to", f.Hello.Gateway)
		case f.Request != nil && f.Request.Notify:
			out = append(out, unasked(f.Request.Session.SID, chat(f.Request))...)
		case f.Request != nil:
			out = append(out, frame{ID: f.ID, Reply: chat(f.Request)})
		case f.Closed != nil:
			out = append(out, left(f.Closed.Session)...)
		}
	}
	return out
}

// left tells the room of a session that has ended; the gateway remembers the room.
func left(gone session) []frame {
	if gone.Data.Room == "" {
		return nil
	}
	to := &target{Groups: []string{"room." + gone.Data.Room}}
	return []frame{{Push: &push{to, "onLeave", &body{obj{"name": gone.UID}}}}}
}

// unasked sends what a reply would have carried in frames of its own: a notify has no reply on a Link.
func unasked(sid string, r *reply) (out []frame) {
	if r.Patch != nil {
		out = append(out, frame{Verb: &verb{&target{SIDs: []string{sid}}, r.Patch}})
	}
	for i := range r.Pushes {
		out = append(out, frame{Push: &r.Pushes[i]})
	}
	return out
}

func answer(v any, pushes ...push) *reply {
	return &reply{Body: &body{v}, Pushes: pushes}
}

func fail(code int, reason, text string) *reply {
	return &reply{Error: &failure{code, reason, text}}
}
