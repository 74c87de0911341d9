/** Several servers. */
import type { Row } from './row.ts';

const CLUSTER = { servers: 3 } as const;

export const CLUSTERS: readonly Row[] = [
  {
    name: 'a message reaches subscribers on every server, once each',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      c connects to n3
      p connects to n1
      a subscribes game.*
      b subscribes game.x
      b subscribes game.>
      c subscribes game.x
      settle
      p publishes game.x 1
      a hears game.x 1
      b hears game.x 1
      b hears game.x 1
      c hears game.x 1
    `,
  },
  {
    name: 'a client knows the servers of the cluster',
    on: CLUSTER,
    script: `
      a connects to n2
      a is on n2
      a knows n1 n2 n3
      n3 kill
      a knows n1 n2
      n3 start
      a knows n1 n2 n3
    `,
  },
  {
    name: 'a server alone announces no others',
    script: `
      a connects
      a knows no servers
    `,
  },
  {
    name: 'the next server is tried when one is gone',
    on: CLUSTER,
    script: `
      n1 kill
      a connects to n1 n2
      a is on n2
    `,
  },
  {
    name: 'a flush confirms a subscription on its own server; others know of it once it has reached them',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      b subscribes _INBOX.b.*
      settle
      hold n1 n2
      a subscribes game.x
      a flushes
      b publishes game.x early reply _INBOX.b.1
      b hears _INBOX.b.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
      release n1 n2
      b publishes game.x late
      a hears game.x late
    `,
  },
  {
    name: 'who has unsubscribed on another server still counts as a responder until that is known',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      a subscribes game.x
      b subscribes _INBOX.b.*
      settle
      hold n1 n2
      a unsubscribes game.x
      a flushes
      b publishes game.x 1 reply _INBOX.b.1
      b flushes
      release n1 n2
      b publishes game.x 2 reply _INBOX.b.2
      b hears _INBOX.b.2 - headers NATS/1.0~503|Nats-Subject:~game.x||
    `,
  },
  {
    name: 'what is published between servers while nothing passes arrives afterwards, in order',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      a subscribes game.x
      settle
      hold n1 n2
      b publishes game.x 1
      b publishes game.x 2
      b flushes
      release n1 n2
      a hears game.x 1
      a hears game.x 2
    `,
  },
  {
    name: 'servers that lose their connection forget what the other wants, until they have another',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      c connects to n3
      a subscribes game.x
      b subscribes _INBOX.b.*
      settle
      hold n1 n2
      cut n1 n2
      b finds no one on game.x
      c publishes game.x 1
      a hears game.x 1
      release n1 n2
      b publishes game.x 2
      a hears game.x 2
      b knows n1 n2 n3
    `,
  },
  {
    name: 'a client that is gone is forgotten on all servers',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      a subscribes game.x
      a subscribes game.* in q
      b subscribes _INBOX.b.*
      settle
      cut a
      a is closed: read ECONNRESET
      b finds no one on game.x
    `,
  },
  {
    name: 'a message does not go round by a third server',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      c connects to n3
      a subscribes game.x
      c subscribes game.x
      settle
      hold n1 n2
      b publishes game.x 1
      c hears game.x 1
      release n1 n2
      a hears game.x 1
    `,
  },
  {
    name: 'a queue group is one in the whole cluster, and its members on all servers get a part',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      c connects to n3
      p connects to n1
      a subscribes job in workers
      b subscribes job in workers
      c subscribes job in workers
      settle
      p publishes job 1
      one of a b c hears job 1
      p publishes 300 times job 2
      a b c share 300 of job 2
    `,
  },
  {
    name: 'a server gives a message from another one only to the groups that it is for',
    on: CLUSTER,
    script: `
      p connects to n1
      a connects to n1
      b connects to n2
      c connects to n2
      a subscribes job in workers
      b subscribes job in workers
      c subscribes job in loggers
      settle
      p publishes 60 times job 1
      c hears 60 times job 1
      a b share 60 of job 1
    `,
  },
  {
    name: 'a group and a plain subscriber on another server both get a message',
    on: CLUSTER,
    script: `
      a connects to n2
      b connects to n2
      p connects to n1
      a subscribes job in workers
      b subscribes job
      settle
      p publishes job 1
      a hears job 1
      b hears job 1
    `,
  },
  {
    name: 'no responders in the whole cluster, and an answer from another server',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      a subscribes _INBOX.a.*
      settle
      a publishes game.x 1 reply _INBOX.a.1
      a hears _INBOX.a.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
      b answers game.x in q with pong
      settle
      a publishes game.x 2 reply _INBOX.a.2
      a hears _INBOX.a.2 pong
    `,
  },
  {
    name: 'order is kept from one server to another, over all subjects',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n3
      a subscribes pith.session.*.*.push
      a subscribes _INBOX.a.*
      settle
      b publishes pith.session.g.1.push 1
      b publishes _INBOX.a.1 2
      b publishes pith.session.g.2.push 3
      b publishes _INBOX.a.2 4
      a hears pith.session.g.1.push 1
      a hears _INBOX.a.1 2
      a hears pith.session.g.2.push 3
      a hears _INBOX.a.2 4
    `,
  },
  {
    name: 'when a server dies, those on others are no responders for its clients any more, and it comes back empty',
    on: CLUSTER,
    script: `
      a connects to n1
      b connects to n2
      a subscribes game.x
      b subscribes _INBOX.b.*
      settle
      n1 kill
      a is closed
      b knows n2 n3
      b publishes game.x 1 reply _INBOX.b.1
      b hears _INBOX.b.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
      n1 start
      a connects to n1
      a subscribes game.x
      settle
      b publishes game.x 2
      a hears game.x 2
    `,
  },
  {
    name: 'lame duck in a cluster: only the other servers are announced, to everyone',
    on: { ...CLUSTER, lameDuckGraceMs: 10_000 },
    script: `
      a connects to n1
      b connects to n2
      b subscribes game.x
      a knows n1 n2 n3
      n1 lame duck
      a is told: lame duck
      a knows n2 n3
      b knows n2 n3
      a publishes game.x 1
      b hears game.x 1
      a is closed
    `,
  },
];
