// Every kind of mistake in a file: the line, the key, and what to do.
import { expect, test } from 'vitest';
import { problemObjectsOf, problemsOf } from './support.ts';

const chat = 'backends: { chat: { grpc: "dns:///chat:9000" } }\n';

type Mistake = [what: string, yaml: string, ...problems: string[]];

const mistakes: Mistake[] = [
  ['a bare number for a duration', 'heartbeat: 30', '1: heartbeat: write the unit: 30ms or 30s'],
  ['a quoted bare number', 'heartbeat: "30"', '1: heartbeat: write the unit: 30ms or 30s'],
  [
    'a duration in words',
    'limits:\n  ack: 5 seconds',
    '2: limits.ack: expected a duration: a whole number with its unit, as 250ms, 3s, 1m or 1h',
  ],
  ['a duration of nothing', 'limits:\n  ack: 0s', '2: limits.ack: expected 1ms to 24h'],
  [
    'half a second of heartbeat',
    'heartbeat: 500ms',
    '1: heartbeat: expected whole seconds, 1s to 24h, or 0s',
  ],
  [
    'a heartbeat between seconds',
    'heartbeat: 1500ms',
    '1: heartbeat: expected whole seconds, 1s to 24h, or 0s',
  ],
  [
    'a size with a decimal unit',
    'limits: { packet: 64KB }',
    '1: limits.packet: expected a size: bytes as a whole number, or with B, KiB or MiB, as 64KiB',
  ],
  [
    'a size that is no whole number',
    'limits: { packet: 64.5 }',
    '1: limits.packet: expected a size: bytes as a whole number, or with B, KiB or MiB, as 64KiB',
  ],
  [
    'a packet longer than its length can say',
    'limits: { packet: 16MiB }',
    '1: limits.packet: expected 64B to 16777215B',
  ],
  [
    'a route longer than a token may be',
    'limits: { route: 128 }',
    '1: limits.route: expected a whole number from 1 to 127',
  ],
  [
    'text for a number',
    'limits: { burst: "many" }',
    '1: limits.burst: expected a whole number from 1 to 1000000',
  ],
  [
    'connections neither auto nor a number',
    'limits: { connections: lots }',
    '1: limits.connections: expected auto, or a whole number from 1 to 10000000',
  ],
  [
    'no connections at all',
    'limits: { connections: 0 }',
    '1: limits.connections: expected a whole number from 1 to 10000000',
  ],
  [
    'a number for text',
    'nats: { user: 123 }',
    '1: nats.user: expected text, got a number; put it in quotes',
  ],
  [
    'yes for true',
    'telemetry:\n  metrics: yes',
    '2: telemetry.metrics: expected true or false, got text',
  ],
  [
    'a word that is not one of them',
    'log:\n  level: wran',
    '2: log.level: expected one of debug, info, warn, error; did you mean "warn"?',
  ],
  ['a map where a list belongs', 'routes: {}', '1: routes: expected a list, got a map'],
  ['a scalar where a map belongs', 'limits: 5', '1: limits: expected a map, got a number'],
  ['a list at the top', '- id: pith', '1: expected a map of keys, as "id: pith"'],
  ['a bad id', 'id: "my gateway"', '1: id: expected 1 to 48 of A-Z a-z 0-9 _ -'],
  ['an unknown key', 'limit: {}', '1: limit: unknown key; did you mean "limits"?'],
  [
    'an unknown key further in',
    'limits:\n  ack: 1s\n  pakcet: 1KiB',
    '3: limits.pakcet: unknown key; did you mean "packet"?',
  ],
  [
    'a key in the wrong place',
    'id: a\nin_flight_per_session: 3',
    '2: in_flight_per_session: unknown key; did you mean "limits.in_flight_per_session"?',
  ],
  [
    'an unknown key without a value',
    'zzz:',
    expect.stringContaining('1: zzz: unknown key') as never,
  ],
  [
    'a key named __proto__',
    '__proto__: { id: x }',
    expect.stringContaining('__proto__: unknown key') as never,
  ],
  ['no listener', 'listen: []', '1: listen: expected at least one listener'],
  [
    'a listener without a scheme',
    'listen: [{ url: "0.0.0.0:3010" }]',
    '1: listen[0].url: expected ws, wss, tcp, tls or auto://host:port, as auto://0.0.0.0:3010',
  ],
  [
    'a listener with an unknown scheme',
    'listen:\n  - url: http://0.0.0.0:3010',
    '2: listen[0].url: expected ws, wss, tcp, tls or auto://host:port, as auto://0.0.0.0:3010',
  ],
  [
    'a listener without a port',
    'listen:\n  - url: ws://0.0.0.0',
    '2: listen[0].url: expected host:port, as 0.0.0.0:3010, [::]:3010 or localhost:3010',
  ],
  [
    'a listener with a path',
    'listen:\n  - url: ws://0.0.0.0:3010/game',
    '2: listen[0].url: expected no path after the port; it goes to the key "path" beside it',
  ],
  [
    'a port that there is not',
    'listen:\n  - url: ws://0.0.0.0:65536',
    '2: listen[0].url: a port is 0 to 65535',
  ],
  [
    'IPv6 without brackets',
    'health: { listen: "::1:7072" }',
    '1: health.listen: expected host:port, as 0.0.0.0:3010, [::]:3010 or localhost:3010',
  ],
  [
    'a host of digits',
    'health: { listen: "300.1.1.1:1" }',
    '1: health.listen: not a host: "300.1.1.1"',
  ],
  [
    'only a port',
    'health: { listen: ":7072" }',
    '1: health.listen: the host is missing; write 0.0.0.0 for every interface',
  ],
  [
    'a Unix socket where only TCP goes',
    'admin: { listen: "unix:/run/a.sock" }',
    '1: admin.listen: expected host:port, as 0.0.0.0:3010, [::]:3010 or localhost:3010',
  ],
  [
    'a relative Unix socket',
    'control: { listen: "unix:a.sock" }',
    '1: control.listen: expected an absolute path: unix:/run/pith.sock',
  ],
  [
    'a bus without a scheme',
    'bus: nats:4222',
    '1: bus: expected embedded, or nats://host:4222 or tls://host:4222, or several joined by commas',
  ],
  [
    'a password in the bus',
    'bus: nats://me:pw@host:4222',
    '1: bus: user and password go to nats.user and nats.password, not into the URL',
  ],
  [
    'a prefix that is no token',
    'nats: { prefix: "pith.>" }',
    '1: nats.prefix: expected tokens of A-Z a-z 0-9 _ - joined by dots, at most 64 bytes, as pith or game.eu',
  ],
  [
    'a share of more than all',
    'telemetry: { sample: 2 }',
    '1: telemetry.sample: expected a number from 0 to 1',
  ],
  [
    'a backend of no kind',
    'backends:\n  chat: { mode: link }',
    '2: backends.chat: expected exactly one of grpc, nats, http, ipc, reply, gate, dial_in',
  ],
  [
    'a backend whose kind is a value',
    'backends:\n  chat: { kind: grpc, address: "chat:9000" }',
    '2: backends.chat: expected exactly one of grpc, nats, http, ipc, reply, gate, dial_in; got "kind" and "address"',
  ],
  [
    'a backend of two kinds',
    'backends:\n  chat: { grpc: "chat:1", reply: {} }',
    '2: backends.chat: expected exactly one of grpc, nats, http, ipc, reply, gate, dial_in; got grpc and reply',
  ],
  [
    'a backend that is only an address',
    'backends:\n  chat: "chat:9000"',
    '2: backends.chat: expected a backend, as { grpc: "dns:///chat:9000" }',
  ],
  [
    'a wrong balance of a gRPC backend',
    'backends:\n  chat: { grpc: "chat:9000", balance: random }',
    '2: backends.chat.balance: expected one of round_robin, least_in_flight, hash, pick_first',
  ],
  [
    'a wrong balance of a backend that dials in',
    'backends:\n  chat: { dial_in: {}, balance: random }',
    '2: backends.chat.balance: expected one of round_robin, least_in_flight, hash, pick_first',
  ],
  [
    'a wrong hash_by of a backend that dials in',
    'backends:\n  chat: { dial_in: {}, balance: hash, hash_by: room }',
    '2: backends.chat.hash_by: expected uid or data.<key>',
  ],
  [
    'a key of mode: link for a backend that dials in',
    'backends:\n  chat: { dial_in: {}, links: 2 }',
    '2: backends.chat.links: unknown key; known here: dial_in, dead_after, balance, hash_by, breaker',
  ],
  [
    'a Consul service without an agent, in mode: method',
    'backends:\n  chat: { grpc: "consul:///chat", mode: method, services: [t.Echo], reflection: true }',
    '2: backends.chat.grpc: needs a Consul agent; set consul.address',
  ],
  [
    'a misspelt key of a backend',
    'backends:\n  chat:\n    grpc: chat:9000\n    mod: link',
    '4: backends.chat.mod: unknown key; did you mean "mode"?',
  ],
  ...[
    ['dial_in: { token: x, balance: hash }', 'dial_in.balance', 'balance'],
    ['dial_in: { dead_after: 5s }', 'dial_in.dead_after', 'dead_after'],
    ['dial_in: {}, token: x', 'token', 'dial_in.token'],
    ['dial_in: {}, breaker: { token: x }', 'breaker.token', 'dial_in.token'],
    ['nats: { breaker: { failures: 5 } }', 'nats.breaker', 'breaker'],
    ['nats: {}, prefix: game', 'prefix', 'nats.prefix'],
    ['grpc: "a:1", failures: 5', 'failures', 'breaker.failures'],
    ['grpc: "a:1", breaker: { links: 5 }', 'breaker.links', 'links'],
    ['grpc: "a:1", tls: { metadata: {} }', 'tls.metadata', 'metadata'],
    ['grpc: "a:1", ca: system', 'ca', 'tls.ca'],
    [
      'grpc: "a:1", ignore_unknown_fields: true',
      'ignore_unknown_fields',
      'json.ignore_unknown_fields',
    ],
    ['http: "http://a", key: a.pem', 'key', 'tls.key'],
    ['http: "http://a", tls: { headers: {} }', 'tls.headers', 'headers'],
  ].map(([entry, at, place]): Mistake => [
    `${at} of a backend, which is ${place}`,
    `backends:\n  game: { ${entry} }`,
    `2: backends.game.${at}: unknown key; did you mean "backends.game.${place}"?`,
  ]),
  [
    'an address of a gate without a port',
    'backends:\n  g: { gate: { advertise: { ws: game.example.com } } }',
    '2: backends.g.gate.advertise.ws: expected host:port, as 0.0.0.0:3010, [::]:3010 or localhost:3010',
  ],
  [
    'the port 0 for a gate',
    'backends:\n  g: { gate: { advertise: { tcp: "a:0", ws: "a:1" } } }',
    '2: backends.g.gate.advertise.tcp: the port that clients dial is 1 to 65535',
  ],
  [
    'a gate that advertises every interface',
    'backends:\n  g: { gate: { advertise: { tcp: "[::]:1", ws: "0.0.0.0:1" } } }',
    "2: backends.g.gate.advertise.ws: nobody can connect to 0.0.0.0; name this gateway's host",
    "2: backends.g.gate.advertise.tcp: nobody can connect to ::; name this gateway's host",
  ],
  [
    'an address of a gate one level too high',
    'backends:\n  g: { gate: { ws: "a:1" } }',
    '2: backends.g.gate.ws: unknown key; did you mean "backends.g.gate.advertise.ws"?',
  ],
  [
    'a key of the top that is indented with the backends',
    'backends:\n  game:\n    dial_in:\n    routes: []',
    '4: backends.game.routes: unknown key; did you mean "routes" at the top?',
  ],
  [
    'a key in the wrong map of a section',
    'limits:\n  slow: { packet: 1KiB }\n  drop_after: 1s',
    '2: limits.slow.packet: unknown key; did you mean "limits.packet"?',
    '3: limits.drop_after: unknown key; did you mean "limits.slow.drop_after"?',
  ],
  [
    'a key in the wrong map of a list',
    'listen:\n  - { url: "auto://0.0.0.0:3010", cert: a.pem }',
    '2: listen[0].cert: unknown key; did you mean "listen[0].tls.cert"?',
  ],
  [
    'keys of a backend in the key of its kind',
    'backends:\n  game: { grpc: { address: "a:1", links: 2 } }',
    '2: backends.game.grpc: expected text, got a map; did you mean "backends.game.links"?',
  ],
  [
    'a text as the map of a kind',
    'backends:\n  game: { dial_in: secret }',
    '2: backends.game.dial_in: expected a map, got text; known here: token',
  ],
  [
    'a key of another kind of backend',
    'backends:\n  gate:\n    reply: {}\n    links: 2',
    '4: backends.gate.links: unknown key; known here: reply',
  ],
  [
    'a backend with the written kind of our own',
    'backends:\n  gate: { reply: {}, kind: reply }',
    '2: backends.gate.kind: unknown key; known here: reply',
  ],
  [
    'a bad name of a backend',
    'backends:\n  "a b": { reply: {} }',
    '2: backends["a b"]: a backend\'s name is 1 to 64 of A-Z a-z 0-9 _ -',
  ],
  [
    'a URL for gRPC',
    'backends:\n  chat: { grpc: "http://chat:9000" }',
    '2: backends.chat.grpc: expected dns:///host:port, unix:///path, consul:///service or host:port',
  ],
  [
    'a mode that there is not',
    'backends:\n  chat: { grpc: "chat:9000", mode: lnik }',
    '2: backends.chat.mode: expected one of link, handle, method; did you mean "link"?',
  ],
  [
    'metadata that the gateway sets',
    'backends:\n  chat:\n    grpc: chat:9000\n    metadata: { x-pith-uid: "1" }',
    '4: backends.chat.metadata.x-pith-uid: this header is set by the gateway',
  ],
  [
    'metadata in capitals',
    'backends:\n  chat:\n    grpc: chat:9000\n    metadata: { X: "1" }',
    '4: backends.chat.metadata.X: a metadata name is made of 0-9 a-z _ . -',
  ],
  [
    'a reply that is no object',
    'backends:\n  gate: { reply: [1] }',
    '2: backends.gate.reply: expected a map, got a list',
  ],
  [
    'a reply that JSON cannot say',
    'backends:\n  gate: { reply: { a: .inf } }',
    '2: backends.gate.reply: expected JSON values',
  ],
  [
    'a route without match and backend',
    'routes:\n  - order: keep',
    '2: routes[0].match: missing',
    '2: routes[0].backend: expected the name of a backend, or a list of { backend, weight }',
  ],
  [
    'a star in a segment',
    `${chat}routes:\n  - { match: "chat.on*", backend: chat }`,
    '3: routes[0].match: bad segment "on*"; a segment is 1 to 64 of A-Z a-z 0-9 _ -, or * or >',
  ],
  [
    '> in the middle',
    `${chat}routes:\n  - { match: "chat.>.send", backend: chat }`,
    '3: routes[0].match: ">" may only be at the end; "*" is one segment',
  ],
  [
    'an empty segment',
    `${chat}routes:\n  - { match: "chat..send", backend: chat }`,
    '3: routes[0].match: a segment is empty; segments are joined by single dots',
  ],
  [
    'an empty match',
    `${chat}routes:\n  - { match: "", backend: chat }`,
    '3: routes[0].match: expected a route or a pattern, as chat.> or *.entryHandler.enter',
  ],
  [
    'a segment that is too long',
    `${chat}routes:\n  - { match: ${'a'.repeat(65)}, backend: chat }`,
    expect.stringContaining('3: routes[0].match: bad segment') as never,
  ],
  [
    'a match that is too long',
    `${chat}routes:\n  - { match: ${'a.'.repeat(64)}, backend: chat }`,
    '3: routes[0].match: a route has at most 127 bytes',
  ],
  [
    'an open brace',
    `${chat}routes:\n  - { match: "chat.>", backend: chat, to: "{uid" }`,
    '3: routes[0].to: a brace without its pair; write {uid} or {data.<key>}',
  ],
  [
    'an unknown placeholder',
    `${chat}routes:\n  - { match: "chat.>", backend: chat, to: "{room}" }`,
    '3: routes[0].to: unknown {room}; write {uid} or {data.<key>}',
  ],
  [
    'a list of backends with a share of nothing',
    `${chat}routes:\n  - { match: "chat.>", backend: [{ backend: chat, weight: 0 }] }`,
    '3: routes[0].backend[0].weight: expected a whole number from 1 to 1000',
  ],
  [
    'the same key twice',
    'id: a\nheartbeat: 3s\nid: b',
    '3: "id" is a duplicate; the first is in line 1',
  ],
  [
    'the same backend twice',
    'backends:\n  chat: { reply: {} }\n  world: { reply: {} }\n  chat: { grpc: "chat:9000" }',
    '4: "chat" is a duplicate; the first is in line 2',
  ],
  [
    'the same backend twice, in braces',
    'backends: {\n  chat: { reply: {} },\n  chat: { grpc: "chat:9000" } }',
    '3: "chat" is a duplicate; the first is in line 2',
  ],
  [
    'a number and the same as text',
    'backends:\n  1: { reply: {} }\n  "1": { reply: {} }',
    '3: "1" is a duplicate; the first is in line 2',
  ],
  [
    'a backend of an unknown kind',
    'backends:\n  chat: { grcp: "chat:9000" }',
    '2: backends.chat: unknown kind of backend "grcp"; did you mean "grpc"?',
  ],
  [
    'a backend of two kinds',
    'backends:\n  chat: { grpc: "chat:9000", http: "http://chat" }',
    '2: backends.chat: expected exactly one of grpc, nats, http, ipc, reply, gate, dial_in; got grpc and http',
  ],
  [
    'a backend without a kind',
    'backends:\n  chat: { mode: link }',
    '2: backends.chat: expected exactly one of grpc, nats, http, ipc, reply, gate, dial_in',
  ],
  ['two documents', 'id: a\n---\nid: b', '2: expected one YAML document; found a second one'],
  ['an open list', 'id: a\nlisten: [', expect.stringContaining('2: not valid YAML: ') as never],
  ['a tab', 'limits:\n\tack: 1s', expect.stringContaining('2: not valid YAML: ') as never],
  ['a tag', 'id: !secret a', '1: not valid YAML: Unresolved tag: !secret'],
  [
    'an endpoint without a scheme',
    'telemetry: { otlp: "collector:4318" }',
    '1: telemetry.otlp: expected an http or https URL, as http://collector:4318',
  ],
  [
    'an alias without an anchor',
    'id: *a',
    expect.stringContaining('1: not valid YAML: Unresolved alias') as never,
  ],
  [
    'a merge of YAML 1.1',
    'log: &quiet { level: warn }\nreload: { <<: *quiet }',
    '2: "<<" merges nothing in YAML 1.2: write the keys out, or use an alias for a whole value',
  ],
  [
    'a password in the URL of a collector',
    'telemetry: { otlp: "http://pith:hunter22@collector:4318" }',
    '1: telemetry.otlp: user and password go to OTEL_EXPORTER_OTLP_HEADERS, as authorization=Basic …, not into the URL',
  ],
  [
    'an alias inside its own list',
    'backends:\n  a: &a { reply: [{ x: *a }] }',
    '2: an alias refers to something that contains it',
  ],
  [
    'a list that is its own item',
    'routes: &a [1, [*a, *a]]',
    '1: an alias refers to something that contains it',
  ],
  [
    'a reference without quotes inside braces',
    'nats: { token: ${env:TOKEN} }',
    '1: inside { } write "${…}" in quotes',
  ],
];

test.each(mistakes)('%s', (_what, yaml, ...expected) => {
  const lines = expected.map((line) => (typeof line === 'string' ? `pith.yaml:${line}` : line));
  expect(problemsOf(yaml).toSorted()).toEqual(lines.toSorted());
});

test('a value without a text is refused like any other', () => {
  expect(problemsOf('bus: { toString: 0 }')).toEqual([
    'pith.yaml:1: bus: expected text, got a map',
  ]);
});

test('aliases cannot make a small file huge', () => {
  const levels = Array.from({ length: 9 }, (_, i) => {
    const item = i === 0 ? '"x"' : `*l${i - 1}`;
    return `l${i}: &l${i} [${Array.from({ length: 9 }, () => item).join(', ')}]`;
  });
  expect(problemsOf(levels.join('\n'))).toEqual([
    'pith.yaml:1: not valid YAML: Excessive alias count indicates a resource exhaustion attack',
  ]);
});

test('a few aliases are fine, and a problem is reported where its text stands', () => {
  const yaml = [
    'backends:',
    '  chat: { reply: &answer { code: 200 } }',
    '  gate: { reply: *answer }',
    'routes:',
    '  - &rule { match: "chat.>", backend: chta }',
    '  - *rule',
  ];
  expect(problemsOf(yaml.join('\n'))).toEqual([
    'pith.yaml:5: routes[0].backend: no backend named "chta"; did you mean "chat"?',
    'pith.yaml:5: routes[1].backend: no backend named "chta"; did you mean "chat"?',
  ]);
});

test('everything that is wrong is said at once, in the order of the file', () => {
  const yaml = [
    'id: "a b"',
    'heartbeat: 30',
    'limit: {}',
    'sessions:',
    '  groups: 10001',
    'backends:',
    '  chat: { grpc: "chat:9000" }',
    'routes:',
    '  - match: "chat.>"',
    '    backend: chta',
    'control: { listen: "0.0.0.0:7070" }',
  ];
  const problems = problemObjectsOf(yaml.join('\n'), { env: { PITH_WORKERS: '0' } });
  expect(problems.map(({ file, line, path }) => [file, line, path])).toEqual([
    ['pith.yaml', 1, 'id'],
    ['pith.yaml', 2, 'heartbeat'],
    ['pith.yaml', 3, 'limit'],
    ['pith.yaml', 5, 'sessions.groups'],
    ['pith.yaml', 10, 'routes[0].backend'],
    ['pith.yaml', 11, 'control.listen'],
    ['PITH_WORKERS', 0, 'workers'],
  ]);
});

test('a problem has the column of what is wrong', () => {
  expect(problemObjectsOf('limits: { packet: 64KB, pakcet: 1 }')).toMatchObject([
    { line: 1, column: 19, path: 'limits.packet' },
    { line: 1, column: 25, path: 'limits.pakcet' },
  ]);
});

test('keys without a value have their defaults, but not inside a fixed answer', () => {
  const yaml = 'nats:\nlisten:\nbackends:\n  gate:\n    reply: { a: }\n';
  expect(problemsOf(yaml)).toEqual([]);
});
