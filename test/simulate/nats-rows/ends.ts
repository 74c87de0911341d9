/** How connections end, and what they bear until then. */
import type { Row } from './row.ts';

export const ENDS: readonly Row[] = [
  {
    name: 'a closed connection takes nothing',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      a closes
      a is closed
      a cannot publish game.x 1
      a cannot subscribe game.x
      a begins to flush
      a's flush is failed
      b publishes game.x 1
      b flushes
    `,
  },
  {
    name: 'what was published before a close arrives',
    script: `
      a connects
      b connects
      b subscribes game.x
      settle
      a publishes and closes game.x 1
      a is closed
      b hears game.x 1
    `,
  },
  {
    name: 'a drain delivers what was received and sends what was published',
    script: `
      a connects
      b connects
      a subscribes game.x
      b subscribes other.x
      settle
      b publishes game.x 1
      b flushes
      a publishes other.x 2
      a drains
      a hears game.x 1
      a is closed
      b hears other.x 2
      b subscribes _INBOX.b.*
      b publishes game.x 3 reply _INBOX.b.1
      b hears _INBOX.b.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
    `,
  },
  {
    name: 'a draining connection still publishes, and takes no subscriptions',
    script: `
      a connects
      b connects
      c connects
      a answers game.x with pong
      b subscribes other.x
      c subscribes replies.c
      settle
      b publishes game.x 1 reply replies.c
      b flushes
      a begins to drain
      a cannot subscribe game.y
      a publishes other.x also
      a is closed
      b hears other.x also
      c hears replies.c pong
    `,
  },
  {
    name: 'a discarded connection hears nothing more, and its round trips fail',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      a begins to flush
      a is discarded
      a's flush is failed
      b subscribes _INBOX.b.*
      b publishes game.x 1
      b flushes
    `,
  },
  {
    name: 'a connection that breaks ends with an error, and the server forgets its subscriptions',
    script: `
      a connects
      b connects
      a subscribes game.x
      b subscribes _INBOX.b.*
      settle
      cut a
      a is closed: read ECONNRESET
      b finds no one on game.x
    `,
  },
  {
    name: 'a server that is killed closes its connections',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      n1 kill
      a is closed
      b is closed
      a cannot publish game.x 1
    `,
  },
  {
    name: 'a flush that the end of the connection overtakes stays open until it is discarded',
    script: `
      a connects
      n1 pause
      a begins to flush
      n1 kill
      a is closed
      a's flush is open
      a is discarded
      a's flush is failed
    `,
  },
  {
    name: 'a server that is stopped closes its connections, after what it had for them',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      b publishes game.x 1
      b flushes
      n1 stop
      a hears game.x 1
      a is closed
      b is closed
    `,
  },
  {
    name: 'no server: the connection is refused',
    script: `
      n1 kill
      a cannot connect: connection refused
    `,
  },
  {
    name: 'a server that has started again knows nothing of before',
    script: `
      a connects
      a subscribes game.x
      settle
      n1 kill
      a is closed
      n1 start
      b connects
      b subscribes _INBOX.b.*
      b publishes game.x 1 reply _INBOX.b.1
      b hears _INBOX.b.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
      a connects
      a subscribes game.x
      a flushes
      b publishes game.x 2
      a hears game.x 2
    `,
  },
  {
    name: 'a silent server is stale after pings without an answer',
    script: `
      a connects
      a subscribes game.x
      settle
      n1 pause
      a publishes game.x 1
      a is told: stale
      a is closed
      a cannot connect: timeout
      n1 resume
      b connects
      b subscribes _INBOX.b.*
      b publishes game.x 2 reply _INBOX.b.1
      b flushes
      b hears _INBOX.b.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
    `,
  },
  {
    name: 'a server that pauses for a moment loses nothing',
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      n1 pause
      b publishes game.x 1
      b publishes game.x 2
      n1 resume
      a hears game.x 1
      a hears game.x 2
    `,
  },
  {
    name: 'lame duck: clients are told, still served, and then closed; no one new may connect',
    on: { lameDuckGraceMs: 1_000 },
    script: `
      a connects
      b connects
      a subscribes game.x
      settle
      n1 lame duck
      a is told: lame duck
      b is told: lame duck
      b publishes game.x 1
      a hears game.x 1
      c cannot connect: connection refused
      a is closed
      b is closed
    `,
  },
];

export const BOUNDS: readonly Row[] = [
  {
    name: 'what the system does not take is counted, and there is room when it has taken it',
    script: `
      a connects
      b connects
      b subscribes game.x
      settle
      hold a
      a publishes 20 times game.x x*1000000
      a has more than 1000000 unsent bytes
      release a
      a has room
      b hears 20 times game.x x*1000000
    `,
  },
  {
    name: 'what the system takes at once is not counted, and no room is announced',
    script: `
      a connects
      a publishes game.x x*200000
      a flushes
      a has nothing unsent
      a was not told of room
    `,
  },
  {
    name: 'a client that does not read is cut, and the others are served',
    on: { pendingBytesMax: 2_000_000, writeMs: 600_000 },
    script: `
      a connects
      b connects
      c connects
      a subscribes game.x
      c subscribes game.y
      settle
      a stops reading
      b publishes 40 times game.x x*1000000
      b publishes game.y 1
      c hears game.y 1
      b subscribes _INBOX.b.*
      b finds no one on game.x
      a reads again
      a ends
    `,
  },
  {
    name: 'a client whose system takes nothing for as long as a write may last is cut',
    on: { writeMs: 1_000 },
    script: `
      a connects
      b connects
      a subscribes game.x
      b subscribes _INBOX.b.*
      settle
      a stops reading
      b publishes 30 times game.x x*1000000
      b finds no one on game.x
      a reads again
      a ends
    `,
  },
  {
    name: 'a client that answers no pings is cut by the server',
    // The other one has to answer, however busy the machine is.
    on: { pingMs: 3_000, pingsOutMax: 2 },
    script: `
      a connects
      b connects
      a subscribes game.x
      b subscribes _INBOX.b.*
      settle
      hold a
      b finds no one on game.x
      release a
      a ends
    `,
  },
];
