/** The script's first part: handshakes, acks, heartbeats, and what comes out of turn. */
import { pack } from '../support/raw.ts';
import {
  ACK,
  handshake,
  HANDSHAKE,
  HEARTBEAT,
  notify,
  OPENING,
  type Part,
  request,
  route,
  sent,
  type Step,
  type Versions,
} from './step.ts';
import type { Transport } from './wire.ts';
import { CLIENT_TYPE, type WorldName } from './worlds.ts';

const ECHO = route('echo');
const BOTH: readonly Transport[] = ['ws', 'tcp'];

function step(
  name: string,
  world: WorldName,
  parts: readonly Part[],
  transports: readonly Transport[] = ['ws'],
): Step {
  return { name, world, transports, parts: () => parts };
}

/** Shakes hands with this body, then acknowledges. */
function shake(name: string, body: object | string, world: WorldName = 'plain'): Step {
  return step(name, world, [
    { send: [handshake(body)], until: 'handshake' },
    { send: [ACK], until: 'fence' },
  ]);
}

/** Shakes hands as a client that kept versions of an earlier handshake. */
function cached(name: string, world: WorldName, sys: (kept: Versions) => object): Step {
  return {
    name,
    world,
    transports: ['ws'],
    parts: ({ kept }) => [
      { send: [handshake({ sys: { ...AS_GAME, ...sys(kept) } })], until: 'handshake' },
      { send: [ACK], until: 'fence' },
    ],
  };
}

const AS_GAME = { type: CLIENT_TYPE, version: '1.0.0' };
const JS_CLIENT = { type: 'js-websocket', version: '0.0.1', rsa: {} };

export const HANDSHAKES: readonly Step[] = [
  step('a handshake and its ack', 'plain', OPENING, BOTH),
  shake('a handshake with no more than sys', { sys: {} }),
  shake('a handshake of the JavaScript client', { sys: { ...JS_CLIENT, protoVersion: 0 } }),
  shake('a handshake of libpomelo2', {
    sys: { protoVersion: 'p', dictVersion: 'd', type: 'desktop', version: '0.3.5-release' },
    user: null,
  }),
  shake('a handshake with keys nobody knows', { sys: { a: [1, { b: 2 }] }, user: {}, more: 1 }),
  shake('a handshake with spaces and CJK', ' { "sys" : { "type" : "勇者" } , "user" : "你好" } '),
  shake('a handshake that is not JSON', 'hello'),
  shake('a handshake without a body', ''),
  shake('a handshake of null', 'null'),
  shake('a handshake of an array', '[]'),
  shake('a handshake without sys', { user: {} }),
  shake('a handshake with sys of null', { sys: null }),
  shake('a handshake with sys of an array', { sys: [] }),
  shake('a handshake with sys of a number', { sys: 1 }),
  step(
    'a handshake that is not JSON, over TCP',
    'plain',
    [{ send: [handshake('hello')], until: 'end' }],
    ['tcp'],
  ),
  step('a handshake in a text frame', 'plain', [
    { send: [HANDSHAKE], until: 'handshake', text: true },
    { send: [ACK], until: 'fence', text: true },
  ]),
  step(
    'a second handshake before the ack',
    'plain',
    [
      { send: [HANDSHAKE], until: 'handshake' },
      { send: [HANDSHAKE, ACK], until: 'fence' },
    ],
    BOTH,
  ),
  sent('a second handshake after the ack', [HANDSHAKE]),
];

const KEPT: readonly Step[] = (['protobuf', 'both'] as const).flatMap((world) => [
  cached('no kept versions', world, () => ({})),
  cached('the equal versions', world, ({ dict, proto }) => ({
    dictVersion: dict,
    protoVersion: proto,
  })),
  cached('other versions', world, () => ({ dictVersion: 'b3RoZXI=', protoVersion: 'b3RoZXI=' })),
  cached('versions that are no strings', world, () => ({ dictVersion: 0, protoVersion: 0 })),
  cached('the equal dictionary version alone', world, ({ dict }) => ({ dictVersion: dict })),
  cached('the equal protos version alone', world, ({ proto }) => ({ protoVersion: proto })),
]);

export const VERSIONS: readonly Step[] = [
  ...KEPT,
  cached('a dictionary of the methods too', 'dictionary', () => ({})),
  cached('a kept dictionary of the methods too', 'dictionary', ({ dict }) => ({
    dictVersion: dict,
  })),
];

export const HOOKS: readonly Step[] = [
  shake('a client type that is let in', { sys: AS_GAME, user: { token: 'good' } }, 'hooks'),
  shake('a client type that is not', { sys: { ...AS_GAME, type: 'other' } }, 'hooks'),
  shake('no client type', { sys: {} }, 'hooks'),
  shake('a user that the hook refuses', { sys: AS_GAME, user: { token: 'bad' } }, 'hooks'),
  shake('no user', { sys: AS_GAME }, 'hooks'),
];

export const TURNS: readonly Step[] = [
  step(
    'an ack before the handshake',
    'plain',
    [
      { send: [ACK, HANDSHAKE], until: 'handshake' },
      { send: [request(1, ECHO, { early: 1 }), ACK], until: 'fence' },
    ],
    BOTH,
  ),
  step(
    'an ack behind the handshake, then a request and another ack',
    'plain',
    [
      { send: [HANDSHAKE, ACK], until: 'handshake' },
      { send: [request(1, ECHO, { n: 1 }), ACK], until: 'fence' },
    ],
    BOTH,
  ),
  step(
    'ack, heartbeat and request behind the handshake',
    'plain',
    [
      { send: [HANDSHAKE, ACK, HEARTBEAT, request(1, ECHO, { n: 1 })], until: 'handshake' },
      { send: [ACK], until: 'fence' },
    ],
    BOTH,
  ),
  step(
    'data before the handshake',
    'plain',
    [
      { send: [request(1, ECHO, { early: 1 }), HANDSHAKE], until: 'handshake' },
      { send: [ACK], until: 'fence' },
    ],
    BOTH,
  ),
  step(
    'data before the ack',
    'plain',
    [
      { send: [HANDSHAKE], until: 'handshake' },
      { send: [request(1, ECHO, { early: 1 }), notify(ECHO), ACK], until: 'fence' },
    ],
    BOTH,
  ),
  step(
    'a heartbeat before the ack',
    'plain',
    [
      { send: [HEARTBEAT, HANDSHAKE], until: 'handshake' },
      { send: [HEARTBEAT, ACK], until: 'fence' },
    ],
    BOTH,
  ),
  sent('a second ack', [ACK]),
  sent('one heartbeat', [HEARTBEAT], { transports: BOTH }),
  sent('three heartbeats at once', [HEARTBEAT, HEARTBEAT, HEARTBEAT], { transports: BOTH }),
  sent('a heartbeat with a body', [pack(3, 'tick')]),
  sent('requests without heartbeats', [request(1, ECHO, { n: 1 }), request(2, ECHO, { n: 2 })]),
  sent('a heartbeat although heartbeats are off', [HEARTBEAT], { world: 'hooks' }),
  sent('silence after the ack', [], {
    world: 'protobuf',
    until: 'end',
    transports: BOTH,
  }),
  sent('silence after one heartbeat', [HEARTBEAT], { world: 'protobuf', until: 'end' }),
];
