// What no key can be checked for alone.
import { describe, expect, test } from 'vitest';
import { load, problemsOf, warningsOf } from './support.ts';

const nats = 'bus: nats://127.0.0.1:4222\n';
const KEY = Buffer.alloc(32, 7).toString('base64');
const method = 'lobby: { grpc: "lobby:1", mode: method, services: [a.B], descriptors: [a.binpb] }';

const mistakes: [what: string, yaml: string, expected: string][] = [
  [
    'a route to no backend',
    'routes: [{ match: a, backend: chat }]',
    '1: routes[0].backend: no backend named "chat"; there are no backends',
  ],
  [
    'a route to a misspelt backend',
    'backends: { chat: { reply: {} } }\nroutes: [{ match: a, backend: chta }]',
    '2: routes[0].backend: no backend named "chta"; did you mean "chat"?',
  ],
  [
    'a join before a fixed answer',
    'backends: { chat: { reply: {} } }\nroutes: [{ match: a, backend: chat, join: hall }]',
    '2: routes[0].join: "chat" is a fixed answer, which is a snapshot of nothing',
  ],
  [
    'a join before a gate',
    'backends: { g: { gate: { advertise: { ws: "a:1", tcp: "a:1" } } } }\nroutes: [{ match: a, backend: g, join: hall }]',
    '2: routes[0].join: "g" is a gate, whose answer is a snapshot of nothing',
  ],
  [
    'generations without a label',
    'bus: nats://nats\ndrain: { generations: true }',
    '2: drain.generations: needs generation: a label that each rollout changes',
  ],
  [
    'generations without a bus',
    'generation: a\ndrain: { generations: true }',
    '2: drain.generations: needs a NATS bus, on which gateways hear each other; set bus: nats://host:4222',
  ],
  [
    'a rebalance without a bus',
    'drain: { rebalance: true }',
    '1: drain.rebalance: needs a NATS bus, on which gateways hear each other; set bus: nats://host:4222',
  ],
  [
    'a join before a stream',
    `backends: { ${method} }\nroutes: [{ match: a, backend: lobby, method: /a.B/C, push_route: onC, join: hall }]`,
    '2: routes[0].join: not with push_route: the group would wait until the stream ends; join in a route of its own',
  ],
  [
    'a join where nobody may join',
    'sessions: { groups: 0 }\nbackends: { chat: { http: "http://a" } }\nroutes: [{ match: a, backend: chat, join: hall }]',
    '3: routes[0].join: sessions.groups is 0, so no session can be in a group',
  ],
  [
    'a join with an unknown placeholder',
    'backends: { chat: { http: "http://a" } }\nroutes: [{ match: a, backend: chat, join: "room.{room}" }]',
    '2: routes[0].join: unknown {room}; write {uid} or {data.<key>}',
  ],
  [
    'a route to quite another backend',
    'backends: { chat: { reply: {} }, gate: { reply: {} } }\nroutes: [{ match: a, backend: world }]',
    '2: routes[0].backend: no backend named "world"; backends are: chat, gate',
  ],
  [
    'an unknown backend in a list',
    'backends: { chat: { reply: {} } }\nroutes:\n- match: a\n  backend:\n  - { backend: chta }',
    '5: routes[0].backend[0].backend: no backend named "chta"; did you mean "chat"?',
  ],
  [
    'a backend twice in a list',
    'backends: { chat: { reply: {} } }\nroutes:\n- match: a\n  backend: [{ backend: chat }, { backend: chat }]',
    '4: routes[0].backend[1].backend: "chat" is in this list twice',
  ],
  [
    'a NATS backend on the embedded bus',
    'backends:\n  world: { nats: {} }',
    '2: backends.world.nats: needs a NATS bus; set bus: nats://host:4222',
  ],
  [
    'replay of kept pushes on the embedded bus',
    `sessions: { resume: { window: 1m, keys: [${'B'.repeat(42)}A=], replay: true } }`,
    '1: sessions.resume.replay: needs NATS with JetStream: set bus, and run `make keep-stream`',
  ],
  [
    'replay of kept pushes without sessions that come back',
    `${nats}sessions: { resume: { replay: true } }`,
    '2: sessions.resume.replay: only sessions that come back are sent what they missed: set sessions.resume.window',
  ],
  [
    'mode: method without services',
    'backends: { lobby: { grpc: "lobby:1", mode: method, reflection: true } }',
    '1: backends.lobby.mode: method needs services',
  ],
  [
    'mode: method without descriptors',
    'backends: { lobby: { grpc: "lobby:1", mode: method, services: [a.B] } }',
    '1: backends.lobby.mode: method needs descriptors, protos or reflection: true',
  ],
  [
    'services without mode: method',
    'backends: { lobby: { grpc: "lobby:1", services: [a.B] } }',
    '1: backends.lobby.services: only with mode: method',
  ],
  [
    'mode: method without a method',
    `backends: { ${method} }\nroutes: [{ match: a, backend: lobby }]`,
    '2: routes[0].method: missing; backend "lobby" has mode: method',
  ],
  [
    'a method for a backend without',
    'backends: { chat: { reply: {} } }\nroutes: [{ match: a, backend: chat, method: /a.B/C }]',
    '2: routes[0].method: backend "chat" has no mode: method',
  ],
  [
    'a path for a backend without',
    'backends: { chat: { reply: {} } }\nroutes: [{ match: a, backend: chat, path: /a }]',
    '2: routes[0].path: backend "chat" is not an http backend',
  ],
  [
    'protobuf without mode: method',
    'backends: { chat: { reply: {} } }\nroutes: [{ match: a, backend: chat, codec: protobuf }]',
    '2: routes[0].codec: protobuf needs a backend with mode: method; "chat" does not have it',
  ],
  [
    'an instance of a fixed answer',
    'backends: { chat: { reply: {} } }\nroutes: [{ match: a, backend: chat, to: "{uid}" }]',
    '2: routes[0].to: backend "chat" has no instances: it is reply',
  ],
  [
    'an instance over HTTP',
    'backends: { chat: { http: "http://a" } }\nroutes: [{ match: a, backend: chat, to: "{uid}" }]',
    '2: routes[0].to: backend "chat" has no instances: it is http',
  ],
  [
    'an instance on a Unix socket',
    'backends: { chat: { ipc: "unix:/a" } }\nroutes: [{ match: a, backend: chat, to: "{uid}" }]',
    '2: routes[0].to: backend "chat" has no instances: it is ipc',
  ],
  [
    'control beyond loopback',
    'control: { listen: "0.0.0.0:7070" }',
    '1: control.listen: beyond loopback this needs control.token (openssl rand -hex 32), or client certificates (control.tls with ca and require_client_cert); else listen on 127.0.0.1 or unix:/path',
  ],
  [
    'admin beyond loopback',
    'admin: { listen: "[::]:7071" }',
    '1: admin.listen: beyond loopback this needs admin.token (openssl rand -hex 32), or client certificates (admin.tls with ca and require_client_cert); else listen on 127.0.0.1',
  ],
  [
    'control beyond loopback with a certificate that proves nothing about callers',
    'control: { listen: "0.0.0.0:7070", tls: { cert: a, key: b, ca: c } }',
    '1: control.listen: beyond loopback this needs control.token (openssl rand -hex 32), or client certificates (control.tls with ca and require_client_cert); else listen on 127.0.0.1 or unix:/path',
  ],
  [
    'a check of Consul that could never pass',
    'control: { tls: { cert: a, key: b, ca: c, require_client_cert: true } }\nconsul: { address: "127.0.0.1:8500", register: true, check: grpc }',
    '2: consul.check: grpc: an agent shows no certificate, which control.tls.require_client_cert demands; use http or ttl',
  ],
  [
    'a token of six letters',
    'control: { token: secret }',
    '1: control.token: 6 characters can be guessed; a token has at least 24: make one with: openssl rand -hex 32',
  ],
  [
    'a further one',
    'admin: { tokens: [{ token: hunter22 }] }',
    '1: admin.tokens[0].token: 8 characters can be guessed; a token has at least 24: make one with: openssl rand -hex 32',
  ],
  [
    'an empty one',
    'admin: { tokens: [{ token: "" }] }',
    '1: admin.tokens[0].token: 0 characters can be guessed; a token has at least 24: make one with: openssl rand -hex 32',
  ],
  [
    'a long one of few characters',
    'control: { token: "abababababababababababababababab" }',
    '1: control.token: it has fewer than 8 different characters, and can be guessed; make one with: openssl rand -hex 32',
  ],
  [
    'one with a line end',
    'control: { token: "w3Jz8Qk1vT6pYb0RxN5mUe2H\\n" }',
    '1: control.token: a token has letters, digits and signs of ASCII, without spaces or line ends; make one with: openssl rand -hex 32',
  ],
  [
    'one that does not fit into a header',
    `control: { token: "${'0123456789'.repeat(410)}" }`,
    '1: control.token: 4100 characters do not fit into a header; at most 4096',
  ],
  [
    'the same token for two',
    'control: { token: w3Jz8Qk1vT6pYb0RxN5mUe2H, tokens: [{ token: w3Jz8Qk1vT6pYb0RxN5mUe2H, role: read }] }',
    '1: control.tokens[0].token: the same token twice: give each caller its own',
  ],
  [
    'a token of operators for a backend that dials in',
    'control: { tokens: [{ token: w3Jz8Qk1vT6pYb0RxN5mUe2H }] }\nbackends: { chat: { dial_in: { token: w3Jz8Qk1vT6pYb0RxN5mUe2H } } }',
    '2: backends.chat.dial_in.token: the same as control.tokens[0].token: whoever attaches could call Control with it; make one with: openssl rand -hex 32',
  ],
  [
    'TLS for a backend that is called without it',
    'backends: { shop: { http: "http://shop:80", tls: { ca: system } } }',
    '1: backends.shop.tls: http:// has no TLS; use https://',
  ],
  [
    'TLS for a Consul agent that is asked without it',
    'consul: { address: "consul:8500", tls: { ca: system } }',
    '1: consul.tls: only https:// has TLS; set consul.address: https://host:port',
  ],
  [
    'SPIFFE ids without an authority',
    'control: { spiffe: [{ id: "spiffe://example.org/ops" }], tls: { cert: a, key: b } }',
    "1: control.spiffe: needs control.tls with cert, key, and the ca that signs the callers' certificates",
  ],
  [
    'a backend that dials in without a token, beyond loopback',
    'admin: { listen: "0.0.0.0:7071", token: w3Jz8Qk1vT6pYb0RxN5mUe2H }\nbackends: { chat: { dial_in: {} } }',
    '2: backends.chat.dial_in.token: admin.listen is beyond loopback; anybody could answer for this backend: make one with: openssl rand -hex 32',
  ],
  [
    'the same with a token of six letters',
    'control: { listen: "0.0.0.0:7070", token: w3Jz8Qk1vT6pYb0RxN5mUe2H }\nbackends: { chat: { dial_in: { token: secret } } }',
    '2: backends.chat.dial_in.token: control.listen is beyond loopback; 6 characters can be guessed; a token has at least 24: make one with: openssl rand -hex 32',
  ],
  [
    'one port twice',
    'listen: [{ url: "ws://127.0.0.1:7070" }]',
    '1: control.listen: already taken by listen[0].url',
  ],
  [
    'one port for every interface and for one',
    'listen:\n- { url: "ws://0.0.0.0:80" }\n- { url: "tcp://10.0.0.1:80" }',
    '3: listen[1].url: already taken by listen[0].url',
  ],
  [
    'a window without keys',
    'sessions: { resume: { window: 1m } }',
    '1: sessions.resume.keys: sessions.resume.window needs a key, the same on all gateways; make one with: openssl rand -base64 32',
  ],
  [
    'a key that is too short',
    'sessions: { resume: { window: 1m, keys: ["c2VjcmV0"] } }',
    '1: sessions.resume.keys[0]: 6 bytes; a key is 32 bytes in base64: make one with: openssl rand -base64 32',
  ],
  [
    'a key in hex',
    `sessions: { resume: { window: 0s, keys: ["${'0f'.repeat(32)}"] } }`,
    '1: sessions.resume.keys[0]: 48 bytes; a key is 32 bytes in base64: make one with: openssl rand -base64 32',
  ],
  [
    'a key that is no base64',
    `sessions: { resume: { window: 1m, keys: ["${KEY}", "pass phrase!"] } }`,
    '1: sessions.resume.keys[1]: not base64; a key is 32 bytes in base64: make one with: openssl rand -base64 32',
  ],
  [
    'too many keys',
    `sessions: { resume: { window: 1m, keys: [${Array.from({ length: 9 }, () => `"${KEY}"`).join()}] } }`,
    '1: sessions.resume.keys: 9 keys; at most 8 are allowed',
  ],
  [
    'a window that is too short',
    `sessions: { resume: { window: 999ms, keys: ["${KEY}"] } }`,
    '1: sessions.resume.window: expected 1s to 24h, or 0s',
  ],
  [
    'a number of sessions per uid where it is one anyway',
    'auth: { sessions_per_uid: kick_old, max_sessions_per_uid: 3 }',
    '1: auth.max_sessions_per_uid: only with sessions_per_uid: many; with kick_old it is 1',
  ],
  [
    'more sessions per uid than are counted',
    'auth: { max_sessions_per_uid: 1001 }',
    '1: auth.max_sessions_per_uid: expected a whole number from 0 to 1000',
  ],
  [
    'TLS without a certificate',
    'listen: [{ url: "wss://0.0.0.0:1" }]',
    '1: listen[0].tls: wss:// needs a certificate: set tls.cert and tls.key',
  ],
  [
    'a certificate without a key',
    'listen: [{ tls: { cert: a } }]',
    '1: listen[0].tls: cert and key go together',
  ],
  [
    'a certificate where there is no TLS',
    'listen: [{ url: "ws://0.0.0.0:1", tls: { cert: a, key: b } }]',
    '1: listen[0].tls: ws:// has no TLS; use wss://, or auto:// for both with and without',
  ],
  [
    'a certificate for plain TCP',
    'listen: [{ url: "tcp://0.0.0.0:1", tls: { cert: a, key: b } }]',
    '1: listen[0].tls: tcp:// has no TLS; use tls://, or auto:// for both with and without',
  ],
  [
    'a key without a certificate',
    'listen: [{ url: "tls://0.0.0.0:1", tls: { key: b } }]',
    '1: listen[0].tls: cert and key go together',
  ],
  [
    'client certificates without one of our own',
    'listen: [{ tls: { ca: a, require_client_cert: true } }]',
    '1: listen[0].tls: require_client_cert needs cert and key',
  ],
  [
    'a key of another dialect',
    'listen: [{ dialect: nano, compress: false }]',
    '1: listen[0].compress: only with dialect: pitaya; this one is nano',
  ],
  [
    'a service of its own that is asked who may come in',
    'auth: { mode: connect, backend: a }\nbackends: { a: { grpc: "a:1", mode: method, services: [a.B], reflection: true } }',
    '1: auth.backend: "a" has mode: method, which has no Connect',
  ],
  [
    'keys of mode: method elsewhere',
    'backends: { a: { grpc: "a:1", json: { ignore_unknown_fields: true } } }',
    '1: backends.a.json: only with mode: method',
  ],
  [
    'links without a Link',
    'backends: { a: { grpc: "a:1", mode: handle, links: 2 } }',
    '1: backends.a.links: only with mode: link',
  ],
  [
    'a fixed answer that is asked who may come in',
    'auth: { mode: connect, backend: gate }\nbackends: { gate: { reply: {} } }',
    '1: auth.backend: "gate" is a fixed answer, and cannot be asked',
  ],
  [
    'a gate that is asked who may come in',
    'auth: { mode: connect, backend: g }\nbackends: { g: { gate: { advertise: { ws: "a:1", tcp: "a:1" } } } }',
    '1: auth.backend: "g" is a gate, and cannot be asked',
  ],
  [
    'a gate without addresses',
    'listen: [{ url: "wss://0.0.0.0:1", tls: { cert: a, key: b } }]\nbackends:\n  g: { gate: }',
    '3: backends.g.gate.advertise: needs ws: host:port, for clients of listen[0] (wss://0.0.0.0:1)',
  ],
  [
    'a gate without the address of one listener',
    'listen: [{ url: "tcp://0.0.0.0:1" }, { url: "ws://0.0.0.0:2" }]\nbackends: { g: { gate: { advertise: { tcp: "a:1" } } } }',
    '2: backends.g.gate.advertise: needs ws: host:port, for clients of listen[1] (ws://0.0.0.0:2)',
  ],
  [
    'a gate with an address for TLS alone',
    'listen: [{ url: "tcp://0.0.0.0:1" }]\nbackends: { g: { gate: { advertise: { tls: "a:1", ws: "a:1" } } } }',
    '2: backends.g.gate.advertise: needs tcp: host:port, for clients of listen[0] (tcp://0.0.0.0:1)',
  ],
  [
    'two gates',
    'listen: [{ url: "ws://0.0.0.0:1" }]\nbackends:\n  g: { gate: { advertise: { ws: "a:1" } } }\n  h: { gate: { advertise: { ws: "b:1" } } }',
    '4: backends.h.gate: there is one gate already: backends.g',
  ],
  [
    'an instance of a gate',
    'listen: [{ url: "ws://0.0.0.0:1" }]\nbackends: { g: { gate: { advertise: { ws: "a:1" } } } }\nroutes: [{ match: a, backend: g, to: "{uid}" }]',
    '3: routes[0].to: backend "g" has no instances: it is gate',
  ],
  [
    'the json dialect over TCP',
    'listen: [{ url: "tcp://0.0.0.0:1", dialect: json }]',
    '1: listen[0].dialect: json is spoken over WebSocket only; use ws:// or auto://',
  ],
  [
    'the json dialect over TLS without WebSocket',
    'listen: [{ url: "tls://0.0.0.0:1", dialect: json, tls: { cert: a, key: b } }]',
    '1: listen[0].dialect: json is spoken over WebSocket only; use wss:// or auto://',
  ],
  [
    'client certificates without authorities',
    'listen: [{ url: "wss://0.0.0.0:1", tls: { cert: /c, key: /k, require_client_cert: true } }]',
    '1: listen[0].tls: require_client_cert needs ca',
  ],
  [
    'a certificate for a backend without its key',
    'backends: { chat: { http: "https://chat", tls: { cert: /c } } }',
    '1: backends.chat.tls: cert and key go together',
  ],
  [
    'two ways to log in to NATS',
    'nats:\n  user: a\n  token: b',
    '3: nats.token: one of creds, user, token, nkey; got user and token',
  ],
  ['a password without a user', 'nats: { password: a }', '1: nats.password: needs nats.user'],
  [
    'closing slow clients before dropping',
    'limits: { slow: { drop_after: 5s, close_after: 1s } }',
    '1: limits.slow.close_after: must not be shorter than limits.slow.drop_after',
  ],
  [
    'less for all outboxes than for one',
    'limits: { outbox: 2MiB, outboxes: 1MiB }',
    '1: limits.outboxes: must not be less than limits.outbox, which is for one session',
  ],
  [
    'less for all unfinished packets than for two',
    'limits: { packet: 1MiB, unfinished: 2097151 }',
    '1: limits.unfinished: must not be less than two packets of limits.packet',
  ],
  [
    'less for all bodies in flight than for the largest packet',
    'limits: { packet: 2MiB, in_flight_bytes: 1MiB }',
    '1: limits.in_flight_bytes: must not be less than limits.packet, which is for one body',
  ],
  [
    'less for all bodies in flight than for one that is decompressed',
    'limits: { in_flight_bytes: 512KiB }',
    '1: limits.in_flight_bytes: must not be less than limits.inflate, which is for one body',
  ],
  [
    'connect without a backend',
    'auth: { mode: connect }',
    '1: auth.mode: connect needs auth.backend',
  ],
  [
    'an unknown backend for connect',
    'auth: { mode: connect, backend: login }',
    '1: auth.backend: no backend named "login"; there are no backends',
  ],
  [
    'a PROXY header from anybody',
    'listen: [{ url: "auto://127.0.0.1:1", proxy_protocol: required }]',
    '1: listen[0].proxy_protocol: needs trusted_proxies, or anybody could claim any address: name the networks of your proxies, as 10.0.0.0/8',
  ],
  [
    'an optional one from anybody',
    'listen: [{ url: "auto://127.0.0.1:1" }, { url: "auto://127.0.0.1:2", proxy_protocol: optional }]',
    '1: listen[1].proxy_protocol: needs trusted_proxies, or anybody could claim any address: name the networks of your proxies, as 10.0.0.0/8',
  ],
  ...[
    '0.0.0.0/0',
    '10.0.0.0/0',
    '0.0.0.0/1',
    '128.0.0.0/7',
    '::/0',
    '2000::/3',
    '::/6',
    '::ffff:0:0/96',
    '::ffff:10.0.0.0/95',
    '::ffff:0.0.0.0/97',
  ].map((network): [string, string, string] => [
    `trusting ${network}`,
    `listen: [{ url: "auto://127.0.0.1:1", trusted_proxies: [10.0.0.1, "${network}"] }]`,
    `1: listen[0].trusted_proxies[1]: "${network}" trusts far more than proxies, and whoever is trusted can claim any address: name only the networks of your proxies, as 10.0.0.0/8`,
  ]),
  [
    'trusting a name',
    'listen: [{ url: "auto://127.0.0.1:1", trusted_proxies: [nginx] }]',
    '1: listen[0].trusted_proxies[0]: expected a network, as 10.0.0.0/8 or fd00::/8',
  ],
];

test.each(mistakes)('%s', (_what, yaml, expected) => {
  expect(problemsOf(yaml)).toEqual([`pith.yaml:${expected}`]);
});

test.each([
  '127.0.0.1:7070',
  '127.8.8.8:7070',
  '[::1]:7070',
  '[0:0:0:0:0:0:0:1]:7070',
  'localhost:7070',
  'unix:/run/pith.sock',
  'unix:///run/pith.sock',
])('control may listen on %s', (listen) => {
  expect(load(`control: { listen: "${listen}" }`).control.listen).toBe(listen);
});

const TOKEN = 'w3Jz8Qk1vT6pYb0RxN5mUe2H';

test.each([
  `token: ${TOKEN}`,
  `tokens: [{ token: ${TOKEN}, role: read }]`,
  'tls: { cert: a, key: b, ca: c, require_client_cert: true }',
  'tls: { cert: a, key: b, ca: c }, spiffe: [{ id: "spiffe://example.org/*" }]',
])('control and admin may listen beyond loopback with %s', (extra) => {
  for (const name of ['control', 'admin'])
    expect(problemsOf(`${name}: { listen: "0.0.0.0:7079", ${extra} }`)).toEqual([]);
});

test('tokens in the clear beyond loopback are a warning', () => {
  const warning =
    'pith.yaml:1: control.tls: tokens cross the network unencrypted, and whoever reads one can use it: set control.tls';
  const open = `control: { listen: "0.0.0.0:7070", token: ${TOKEN}`;
  expect(warningsOf(`${open} }`)).toEqual([warning]);
  expect(warningsOf(`${open}, tls: { cert: a, key: b } }`)).toEqual([]);
  expect(warningsOf(`control: { token: ${TOKEN} }`)).toEqual([]);
});

test.each<[string, number]>([
  ['bus: nats://nats\nnats: { user: pith, password: hunter22 }', 1],
  ['bus: nats://nats\nnats: { token: hunter22 }', 1],
  ['bus: "nats://127.0.0.1,nats://10.0.0.1"\nnats: { token: hunter22 }', 1],
  ['bus: tls://nats\nnats: { user: pith, password: hunter22 }', 0],
  ['bus: nats://nats\nnats: { user: pith, password: hunter22, tls: { ca: a } }', 0],
  ['bus: nats://127.0.0.1\nnats: { user: pith, password: hunter22 }', 0],
  ['bus: nats://nats\nnats: { nkey: SUAB }', 0],
])('a password that may cross the network to NATS unencrypted is a warning: %s', (yaml, count) => {
  const warnings = warningsOf(yaml);
  expect(warnings).toHaveLength(count);
  expect(warnings.join()).not.toContain('hunter');
});

test.each([
  ['nats: { user: pith, password: hunter22 }', 'nats.user'],
  ['nats: { creds: /run/pith.creds }', 'nats.creds'],
  ['bus_admin: true', 'bus_admin'],
])('what needs NATS is a warning without it: %s', (yaml, key) => {
  expect(warningsOf(yaml)).toEqual([
    `pith.yaml:1: ${key}: has no effect with bus: embedded; set bus: nats://host:4222`,
  ]);
  expect(warningsOf(`bus: nats://127.0.0.1\n${yaml}`)).toEqual([]);
});

const MTLS = 'tls: { cert: a, key: b, ca: c';

test.each([
  [`listen: [{ url: "wss://127.0.0.1:1", ${MTLS} } }]`, 'listen[0].tls.ca', ''],
  [`control: { token: ${TOKEN}, ${MTLS} } }`, 'control.tls.ca', ' or control.spiffe'],
])('an authority that no client is held against is a warning: %s', (yaml, key, or) => {
  expect(warningsOf(yaml)).toEqual([
    `pith.yaml:1: ${key}: no client is asked for a certificate: it takes require_client_cert: true${or}`,
  ]);
  expect(warningsOf(yaml.replace('ca: c', 'ca: c, require_client_cert: true'))).toEqual([]);
});

test('an id that an earlier one allows is a warning', () => {
  const spiffe = (...ids: string[]): string =>
    `control: { spiffe: [${ids.map((id) => `{ id: "spiffe://a/${id}" }`).join()}], ${MTLS} } }`;
  expect(warningsOf(spiffe('*', 'b', 'c/*', 'c/*'))).toEqual(
    [1, 2, 3].map(
      (i) =>
        `pith.yaml:1: control.spiffe[${i}].id: never reached: control.spiffe[0] ("spiffe://a/*") matches first`,
    ),
  );
  expect(warningsOf(spiffe('b', 'bb', 'b/*', '*'))).toEqual([]);
});

test('a maintenance of routes that there are not is a warning', () => {
  const yaml = (...paused: string[]): string =>
    `backends: { s: { reply: {} } }\nroutes: [{ match: shop.*, backend: s }, { match: "chat.room.>", backend: s }]\n` +
    `maintenance: { enabled: true, routes: ${JSON.stringify(paused)} }`;
  expect(warningsOf(yaml('shop.buy', 'chat.>', '>', 'chat.room.a.b'))).toEqual([]);
  expect(warningsOf(yaml('shop.>', 'shoop.>', 'chat.room'))).toEqual(
    [1, 2].map(
      (i) =>
        `pith.yaml:3: maintenance.routes[${i}]: no rule of routes matches such a route: nothing is in maintenance by it`,
    ),
  );
});

test('what only WebSocket has is a warning over TCP', () => {
  const yaml =
    'listen: [{ url: "tcp://127.0.0.1:1", path: /game, origins: ["https://game.example.com"] }]';
  expect(warningsOf(yaml)).toEqual([
    'pith.yaml:1: listen[0].path: tcp:// has no paths',
    'pith.yaml:1: listen[0].origins: tcp:// has no origins',
  ]);
});

test.each([
  'trusted_proxies: [10.0.0.0/8, "fc00::/7", "fe80::/10", 192.0.2.1, "2001:db8::1", "::ffff:10.0.0.0/104"]',
  'trusted_proxies: [10.0.0.1], proxy_protocol: required',
  'trusted_proxies: [10.0.0.1], proxy_protocol: optional',
])('proxies may be trusted: %s', (keys) => {
  const yaml = `listen: [{ url: "auto://127.0.0.1:1", ${keys} }]`;
  expect(problemsOf(yaml)).toEqual([]);
  expect(warningsOf(yaml)).toEqual([]);
});

test('proxies that could tell nothing over TCP are a warning', () => {
  const listen = (keys: string): string =>
    `listen: [{ url: "tcp://127.0.0.1:1", trusted_proxies: [10.0.0.1]${keys} }]`;
  expect(warningsOf(listen(''))).toEqual([
    'pith.yaml:1: listen[0].trusted_proxies: over tcp:// proxies can tell an address only by proxy_protocol, which is none',
  ]);
  expect(warningsOf(listen(', proxy_protocol: optional'))).toEqual([]);
});

test('ports that the system chooses do not collide', () => {
  const yaml = [
    'listen: [{ url: "ws://127.0.0.1:0" }, { url: "tcp://[::1]:0" }]',
    'health: { listen: "127.0.0.1:0" }',
    'control: { listen: "127.0.0.1:0" }',
    'admin: { listen: "127.0.0.1:0" }',
  ];
  expect(load(yaml.join('\n')).listen).toHaveLength(2);
});

const gated = (listen: string, advertise: string): string =>
  `listen: [${listen}]\nbackends: { g: { gate: { advertise: { ${advertise} } } } }`;
const TLS = 'tls: { cert: a, key: b }';

test.each([
  ['url: "auto://0.0.0.0:1"', 'ws: "a:1", tcp: "a:1"'],
  [`url: "auto://0.0.0.0:1", ${TLS}`, 'ws: "a:1", tcp: "a:1"'],
  ['url: "auto://0.0.0.0:1", dialect: json', 'ws: "a:1"'],
  [`url: "wss://0.0.0.0:1", ${TLS}`, 'ws: "a:1"'],
  [`url: "wss://0.0.0.0:1", ${TLS}`, 'wss: "a:1"'],
  [`url: "tls://0.0.0.0:1", ${TLS}`, 'tls: "[2001:db8::1]:65535"'],
  [
    'url: "auto://0.0.0.0:1", tls: { cert: a, key: b, ca: c, require_client_cert: true }',
    'wss: "a:1", tls: "a:1"',
  ],
])('a gate behind { %s } is complete with %s', (listen, advertise) => {
  expect(problemsOf(gated(`{ ${listen} }`, advertise))).toEqual([]);
  expect(warningsOf(gated(`{ ${listen} }`, advertise))).toEqual([]);
});

test('listeners of two dialects with one address of a gate are a warning', () => {
  const listeners = '{ url: "auto://0.0.0.0:1" }, { url: "auto://0.0.0.0:2", dialect: nano }';
  expect(warningsOf(gated(listeners, 'ws: "a:1", tcp: "a:1"'))).toEqual([
    'pith.yaml:1: listen[1].dialect: a gate tells these clients the same address as those of listen[0] (pomelo)',
  ]);
  const apart = '{ url: "ws://0.0.0.0:1" }, { url: "tcp://0.0.0.0:2", dialect: nano }';
  expect(warningsOf(gated(apart, 'ws: "a:1", tcp: "a:2"'))).toEqual([]);
});

test('a rule that is never reached is a warning', () => {
  const yaml = [
    'backends: { chat: { reply: {} } }',
    'routes:',
    '  - { match: "chat.>", backend: chat }',
    '  - { match: "*.entry.enter", backend: chat }',
    '  - { match: "chat.room.send", backend: chat }',
    '  - { match: "*.entry.enter", backend: chat }',
    '  - { match: "*.entry.leave", backend: chat }',
  ];
  expect(warningsOf(yaml.join('\n'))).toEqual([
    'pith.yaml:5: routes[2].match: never reached: routes[0] ("chat.>") matches first',
    'pith.yaml:6: routes[3].match: never reached: routes[1] ("*.entry.enter") matches first',
  ]);
});

test('an instance of a backend without links is a warning', () => {
  const yaml = [
    'backends: { chat: { grpc: "chat:1", mode: handle } }',
    'routes: [{ match: a, backend: chat, to: "{data.room}" }]',
  ];
  expect(warningsOf(yaml.join('\n'))).toEqual([
    'pith.yaml:2: routes[0].to: backend "chat" only reports its instance\'s name in mode: link',
  ]);
});

test('backends are told apart by their kind', () => {
  const yaml = [
    nats,
    'backends:',
    '  chat: { grpc: "dns:///chat:9000", metadata: { authorization: Bearer } }',
    '  world: { nats: }',
    '  other: { nats: { prefix: eu.game } }',
    '  gate: { reply: { code: 200, list: [null], none: null } }',
  ];
  const breaker = { failures: 0, open: 5_000 };
  expect(load(yaml.join('\n')).backends).toEqual({
    chat: {
      kind: 'grpc',
      grpc: 'dns:///chat:9000',
      mode: 'link',
      links: 1,
      link_age: 0,
      dead_after: 30_000,
      balance: 'round_robin',
      hash_by: 'uid',
      weights: {},
      health: 'auto',
      tls: { cert: '', key: '', ca: '' },
      metadata: { authorization: 'Bearer' },
      breaker,
      services: [],
      descriptors: [],
      protos: [],
      reflection: false,
      reflection_digest: '',
      json: {
        always_print_primitive_fields: false,
        always_print_enums_as_ints: false,
        preserve_proto_field_names: false,
        ignore_unknown_fields: false,
        print_int64_as_number: false,
      },
    },
    world: { kind: 'nats', nats: {}, breaker },
    other: { kind: 'nats', nats: { prefix: 'eu.game' }, breaker },
    gate: { kind: 'reply', reply: { code: 200, list: [null], none: null } },
  });
});

describe('names of the gateway’s own', () => {
  test.each([
    ['{ match: "pith.>", backend: web }', 'match: never reached'],
    ['{ match: "pith", backend: web }', 'match: never reached'],
    ['{ match: "pith.closed", backend: web }', 'match: never reached'],
    ['{ match: "game.>", backend: web, rename: "pith.{method}" }', 'rename: makes pith.x of them'],
    [
      '{ match: "game.pith.*", backend: web, rename: "{handler}.{method}" }',
      'rename: makes pith.x of them',
    ],
    ['{ match: "a.closed", backend: web, path: "/pith/{method}" }', 'path: /pith/closed is'],
    ['{ match: "a.>", backend: web, path: "/%70ith//closed" }', 'path: /%70ith//closed is'],
    ['{ match: "PITH.connect", backend: web }', 'match: /PITH/connect is'],
    ['{ match: a, backend: rooms, method: "/pith.v1.Backend/Closed" }', 'method: services of pith'],
  ])('%s is a warning', (route, words) => {
    const yaml = [
      'backends:',
      '  web: { http: "http://127.0.0.1:1" }',
      '  rooms: { grpc: "x:1", mode: method, services: [a.B], reflection: true }',
      `routes: [${route}]`,
    ];
    const [warning, ...more] = warningsOf(yaml.join('\n'));
    expect(warning).toContain(`routes[0].${words}`);
    expect(more).toEqual([]);
  });

  test.each([
    '{ match: ">", backend: web }',
    '{ match: "*.*", backend: web }',
    '{ match: "game.>", backend: web, rename: "{handler}.{method}" }',
    '{ match: ">", backend: web, path: "/pith/{method}" }',
  ])('%s can make others too', (route) => {
    const yaml = ['backends: { web: { http: "http://127.0.0.1:1" } }', `routes: [${route}]`];
    expect(warningsOf(yaml.join('\n'))).toEqual([]);
  });

  test('services of ours behind mode: method are a warning', () => {
    const yaml =
      'backends: { b: { grpc: "x:1", mode: method, services: [a.B, pith.v1.Backend], reflection: true } }';
    expect(warningsOf(yaml)).toHaveLength(1);
    expect(warningsOf(yaml)[0]).toContain('backends.b.services[1]: services of pith');
  });
});
