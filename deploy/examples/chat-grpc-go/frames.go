// Helpers that build the messages of the contract for main.go.
package main

import (
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"

	pith "chat-grpc-go/gen/pith/v1"
)

// framesFor answers the frames of one message; last: the gateway is about to stop.
func framesFor(in *pith.ToBackend) (out []*pith.BackendFrame, last bool) {
	for _, f := range in.Frames {
		switch {
		case f.GetRequest().GetNotify():
			out = append(out, unasked(f.GetRequest().GetSession().GetSid(), chat(f.GetRequest()))...)
		case f.GetRequest() != nil:
			out = append(out, &pith.BackendFrame{Id: f.Id, Frame: &pith.BackendFrame_Reply{Reply: chat(f.GetRequest())}})
		case f.GetClosed() != nil:
			out = append(out, left(f.GetClosed().GetSession())...)
		case f.GetGoaway() != nil:
			last = true
		}
	}
	return out, last
}

// left tells the room of a session that has ended; the gateway remembers the room.
func left(session *pith.Session) []*pith.BackendFrame {
	room := session.GetData().GetFields()["room"].GetStringValue()
	if room == "" {
		return nil
	}
	gone := push(&pith.Target{Groups: []string{"room." + room}}, "onLeave", obj{"name": session.GetUid()})
	return []*pith.BackendFrame{{Frame: &pith.BackendFrame_Push{Push: gone}}}
}

// unasked sends what a reply would have carried in frames of its own: a notify has no reply on a Link.
func unasked(sid string, r *pith.Reply) (out []*pith.BackendFrame) {
	if r.Patch != nil {
		verb := &pith.SessionVerb{Target: &pith.Target{Sids: []string{sid}}, Verb: &pith.SessionVerb_Patch{Patch: r.Patch}}
		out = append(out, &pith.BackendFrame{Frame: &pith.BackendFrame_Verb{Verb: verb}})
	}
	for _, p := range r.Pushes {
		out = append(out, &pith.BackendFrame{Frame: &pith.BackendFrame_Push{Push: p}})
	}
	return out
}

func answer(v any, pushes ...*pith.Push) *pith.Reply {
	return &pith.Reply{Outcome: &pith.Reply_Body{Body: body(v)}, Pushes: pushes}
}

func fail(code int32, reason, text string) *pith.Reply {
	return &pith.Reply{Outcome: &pith.Reply_Error{Error: &pith.Error{Code: code, Reason: reason, Message: text}}}
}

func push(to *pith.Target, route string, v any) *pith.Push {
	return &pith.Push{Target: to, Route: route, Body: body(v)}
}

func set(key string, v *structpb.Value) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{key: v}}
}

// body encodes v, which consists of maps and strings, as JSON.
func body(v any) *pith.Body {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &pith.Body{Content: &pith.Body_Bytes{Bytes: b}}
}
