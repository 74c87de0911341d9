/** What the users of a server may do. */
import type { Row } from './row.ts';

/** As in deploy/nats/permissions.conf, shortened. */
const GATEWAY = {
  user: 'gateway',
  password: 'pw',
  publish: { allow: ['pith.rpc.>', '_INBOX.>'], deny: ['pith.rpc.secret'] },
  subscribe: { allow: ['pith.session.*.*.*', 'pith.session.* pith', '_INBOX.*.rpc.*'] },
};
const BACKEND = {
  user: 'chat',
  password: 'pw',
  publish: { allow: ['pith.session.*.*.push'] },
  responses: { max: 1, expiresMs: 60_000 },
  subscribe: { allow: ['pith.rpc.chat.>', '_INBOX.*'], deny: ['_INBOX.*.*.>'] },
};

const { publish: _, ...ANSWERS_ONLY } = BACKEND;

export const PERMISSIONS: readonly Row[] = [
  {
    name: 'a wrong password is refused',
    on: { users: [GATEWAY] },
    script: `
      a cannot connect as gateway:wrong: Authorization Violation
      a cannot connect as nobody:pw: Authorization Violation
      a connects as gateway:pw
    `,
  },
  {
    name: 'what may not be published is refused, and the connection stays',
    on: { users: [GATEWAY, BACKEND] },
    script: `
      a connects as gateway:pw
      b connects as chat:pw
      b subscribes pith.rpc.chat.*
      settle
      a publishes game.x 1
      a is told: error: Permissions Violation for Publish to "game.x" (game.x -)
      a publishes pith.rpc.secret 2
      a is told: error: Permissions Violation for Publish to "pith.rpc.secret" (pith.rpc.secret -)
      a publishes pith.rpc.chat.say 3
      b hears pith.rpc.chat.say 3
    `,
  },
  {
    name: 'what may not be subscribed to is refused, and its subscriber is told',
    on: { users: [GATEWAY] },
    script: `
      a connects as gateway:pw
      a subscribes game.x
      a hears refused: Permissions Violation for Subscription to "game.x"
      a is told: error: Permissions Violation for Subscription to "game.x" (game.x -)
      a subscribes pith.session.* in pith
      a subscribes pith.session.x in other
      a hears refused: Permissions Violation for Subscription to "pith.session.x" using queue "other"
      a is told: error: Permissions Violation for Subscription to "pith.session.x" using queue "other" (pith.session.x other)
      a subscribes pith.session.*
      a hears refused: Permissions Violation for Subscription to "pith.session.*"
      a is told: error: Permissions Violation for Subscription to "pith.session.*" (pith.session.* -)
    `,
  },
  {
    name: 'a backend may answer once, where an answer is wanted, and nowhere else',
    on: { users: [GATEWAY, BACKEND] },
    script: `
      a connects as gateway:pw
      b connects as chat:pw
      a subscribes _INBOX.a.rpc.*
      b subscribes pith.rpc.chat.>
      settle
      a publishes pith.rpc.chat.say 1 reply _INBOX.a.rpc.1
      b hears pith.rpc.chat.say 1 reply _INBOX.a.rpc.1
      b publishes _INBOX.a.rpc.1 pong
      a hears _INBOX.a.rpc.1 pong
      b publishes _INBOX.a.rpc.1 again
      b is told: error: Permissions Violation for Publish to "_INBOX.a.rpc.1" (_INBOX.a.rpc.1 -)
      b publishes _INBOX.a.rpc.2 forged
      b is told: error: Permissions Violation for Publish to "_INBOX.a.rpc.2" (_INBOX.a.rpc.2 -)
    `,
  },
  {
    name: 'a user that may answer, and has no list of what it may publish, may publish nothing else',
    on: { users: [GATEWAY, ANSWERS_ONLY] },
    script: `
      a connects as gateway:pw
      b connects as chat:pw
      a subscribes _INBOX.a.rpc.*
      b answers pith.rpc.chat.> with pong
      settle
      b publishes pith.rpc.chat.say 1
      b is told: error: Permissions Violation for Publish to "pith.rpc.chat.say" (pith.rpc.chat.say -)
      a publishes pith.rpc.chat.say 2 reply _INBOX.a.rpc.1
      a hears _INBOX.a.rpc.1 pong
    `,
  },
  {
    name: 'a subscription that is wider than it may be does not get what is denied',
    on: { users: [{ ...BACKEND, publish: { allow: ['>'] } }] },
    script: `
      a connects as chat:pw
      b connects as chat:pw
      a subscribes _INBOX.>
      settle
      b publishes _INBOX.x 1
      b publishes _INBOX.x.y.z 2
      b publishes _INBOX.x.y 3
      a hears _INBOX.x 1
      a hears _INBOX.x.y 3
    `,
  },
];
