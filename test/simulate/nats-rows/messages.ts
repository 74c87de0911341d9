/** Requests, order, and what a message carries. */
import type { Row } from './row.ts';

export const REQUESTS: readonly Row[] = [
  {
    name: 'no responders: the status comes at once, with a header for the subject and no data',
    script: `
      a connects
      a subscribes _INBOX.a.rpc.*
      a publishes pith.rpc.game.x hello reply _INBOX.a.rpc.7
      a hears _INBOX.a.rpc.7 - headers NATS/1.0~503|Nats-Subject:~pith.rpc.game.x||
    `,
  },
  {
    name: 'no responders: without a reply subject nothing is said',
    script: `
      a connects
      a subscribes >
      a publishes game.x 1
    `,
  },
  {
    name: 'no responders: only a subscriber on the same connection is told',
    script: `
      a connects
      b connects
      b subscribes _INBOX.b.*
      settle
      a publishes game.x 1 reply _INBOX.b.1
    `,
  },
  {
    name: 'no responders: a queue subscription to the reply is not told',
    script: `
      a connects
      a subscribes _INBOX.a.* in q
      a publishes game.x 1 reply _INBOX.a.1
    `,
  },
  {
    name: 'no responders: once the only one has unsubscribed',
    script: `
      a connects
      b connects
      b answers game.x with pong
      a subscribes _INBOX.a.*
      settle
      a publishes game.x 1 reply _INBOX.a.1
      a hears _INBOX.a.1 pong
      b unsubscribes game.x
      b flushes
      a publishes game.x 2 reply _INBOX.a.2
      a hears _INBOX.a.2 - headers NATS/1.0~503|Nats-Subject:~game.x||
    `,
  },
  {
    name: 'no responders: a group is a responder, and none any more when its connection has closed',
    script: `
      a connects
      b connects
      b answers game.x in q with pong
      a subscribes _INBOX.a.*
      settle
      a publishes game.x 1 reply _INBOX.a.1
      a hears _INBOX.a.1 pong
      b closes
      b is closed
      a finds no one on game.x
    `,
  },
  {
    name: 'no responders: for a stream of JetStream',
    script: `
      a connects
      a subscribes _INBOX.a.ask.*
      a publishes $JS.API.STREAM.NAMES {} reply _INBOX.a.ask.1
      a hears _INBOX.a.ask.1 - headers NATS/1.0~503|Nats-Subject:~$JS.API.STREAM.NAMES||
    `,
  },
  {
    name: 'a reply goes to whoever has subscribed to it, under any prefix',
    script: `
      a connects
      b connects
      c connects
      b answers game.x with pong
      c subscribes replies.here
      settle
      a publishes game.x 1 reply replies.here
      c hears replies.here pong
    `,
  },
  {
    name: 'whoever is subscribed sees where the answer is wanted',
    script: `
      a connects
      b connects
      b subscribes game.x
      settle
      a publishes game.x 1 reply _INBOX.a.rpc.z
      b hears game.x 1 reply _INBOX.a.rpc.z
    `,
  },
];

export const ORDER: readonly Row[] = [
  {
    name: 'a push before a reply from one connection arrives before it',
    script: `
      a connects
      b connects
      a subscribes _INBOX.a.*
      a subscribes pith.session.*.*.push
      settle
      b publishes pith.session.g.1.push first
      b publishes _INBOX.a.1 second
      b publishes pith.session.g.2.push third
      a hears pith.session.g.1.push first
      a hears _INBOX.a.1 second
      a hears pith.session.g.2.push third
    `,
  },
  {
    name: 'large and small messages of one connection stay in order',
    script: `
      a connects
      b connects
      a subscribes game.*
      settle
      b publishes game.1 x*500000
      b publishes game.2 1
      b publishes game.3 y*900000
      b publishes game.4 2
      a hears game.1 x*500000
      a hears game.2 1
      a hears game.3 y*900000
      a hears game.4 2
    `,
  },
  {
    name: 'a flush confirms the subscriptions before it',
    script: `
      a connects
      b connects
      a subscribes game.x
      a flushes
      b publishes game.x 1
      a hears game.x 1
    `,
  },
  {
    name: 'what is published before a subscription is not heard, what is published after its flush is',
    script: `
      a connects
      b connects
      b publishes game.x early
      b flushes
      a subscribes game.x
      a flushes
      b publishes game.x late
      a hears game.x late
    `,
  },
  {
    name: 'subscribing, publishing and unsubscribing in one turn are taken in that order',
    script: `
      a connects
      b connects
      b answers game.x with pong
      settle
      a subscribes _INBOX.a.1
      a publishes game.x 1 reply _INBOX.a.1
      a unsubscribes _INBOX.a.1
      a subscribes _INBOX.a.2
      a publishes none.x 2 reply _INBOX.a.2
      a hears _INBOX.a.2 - headers NATS/1.0~503|Nats-Subject:~none.x||
    `,
  },
  {
    name: 'after unsubscribing nothing is heard, even of what is in flight',
    script: `
      a connects
      b connects
      a subscribes game.x
      a subscribes game.y
      settle
      hold a
      b publishes 50 times game.x 1
      b publishes game.y 2
      b flushes
      a unsubscribes game.x
      release a
      a hears game.y 2
    `,
  },
  {
    name: 'flushes are done in their order, and what was heard before them comes first',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      b publishes game.x 1
      b flushes
      a begins to flush
      a begins to flush
      a's flush is done
      a hears game.x 1
      a's flush is done
    `,
  },
];

export const CONTENT: readonly Row[] = [
  {
    name: 'header bytes are kept as they are',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      b publishes game.x 1 headers NATS/1.0|Pith-Route:~a.b|pith-route:twice|X:~~spaces~~|no~colon||
      b publishes game.x - headers NATS/1.0||
      b publishes game.x 2 reply r.1 headers NATS/1.0|A:~1||
      a hears game.x 1 headers NATS/1.0|Pith-Route:~a.b|pith-route:twice|X:~~spaces~~|no~colon||
      a hears game.x - headers NATS/1.0||
      a hears game.x 2 reply r.1 headers NATS/1.0|A:~1||
    `,
  },
  {
    name: 'an empty message is one',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      b publishes game.x -
      a hears game.x -
    `,
  },
  {
    name: 'max_payload counts headers and data; what is larger is refused, and the connection stays',
    on: { payloadBytesMax: 1_000 },
    script: `
      a connects
      b connects
      a may send 1000 bytes
      b subscribes game.x
      settle
      a publishes game.x x*1000
      a cannot publish game.x x*1001
      a cannot publish game.x x*995 headers NATS/1.0||
      a publishes game.x x*988 headers NATS/1.0||
      b hears game.x x*1000
      b hears game.x x*988 headers NATS/1.0||
    `,
  },
  {
    name: 'a subject that is empty or has a space is refused',
    script: `
      a connects
      a cannot publish game.~x 1
      a cannot subscribe game.~x
      a cannot publish game.x 1 reply game.~y
    `,
  },
  {
    name: 'a control line that is too long ends the connection',
    script: `
      a connects
      a publishes ${'x'.repeat(4_200)} 1
      a is told: error: maximum control line exceeded
      a is closed: maximum control line exceeded
    `,
  },
];
