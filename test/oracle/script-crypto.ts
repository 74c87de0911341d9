/** The script's last part: requests signed as Pomelo's useCrypto wants them. */
import { generateKeyPairSync, sign } from 'node:crypto';

import { ACK, FENCE_ID, handshake, notify, type Part, request, route, type Step } from './step.ts';
import { CLIENT_TYPE } from './worlds.ts';

/** As clients make it: 1024 bits, a new one for each connection there, one for the whole script here. */
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
const RSA = {
  rsa_n: Buffer.from(publicKey.export({ format: 'jwk' }).n!, 'base64url').toString('hex'),
  rsa_e: 65_537,
};

function signature(text: string): string {
  return sign('sha256', Buffer.from(text), privateKey).toString('hex');
}

/** The body with its signature as the last key. */
function signed(body: object): object {
  return { ...body, __crypto__: signature(JSON.stringify(body)) };
}

const AS_GAME = { type: CLIENT_TYPE, version: '1.0.0' };
const ECHO = route('echo');

function keyed(rsa: object): readonly Part[] {
  return [
    { send: [handshake({ sys: { ...AS_GAME, rsa } })], until: 'handshake', quiet: true },
    { send: [ACK], until: 'heartbeat', quiet: true },
  ];
}

/** What is not signed is not answered, so the fence is. */
const fence = request(FENCE_ID, route('fence'), signed({}));

function step(name: string, send: readonly Buffer[], opening = keyed(RSA)): Step {
  return {
    name,
    world: 'crypto',
    transports: ['ws'],
    fence,
    parts: () => [...opening, { send, until: 'fence' }],
  };
}

export const SIGNED: readonly Step[] = [
  step('a signed request', [request(1, ECHO, signed({ n: 1, text: 'é' }))]),
  step('a signed request with CJK', [request(1, ECHO, signed({ text: '你好' }))]),
  step('a signed notify', [notify(ECHO, signed({ n: 1 }))]),
  step('a request without a signature', [request(1, ECHO, { n: 1 })]),
  step('a request signed for another body', [
    request(1, ECHO, { n: 1, __crypto__: signature('{"n":2}') }),
  ]),
  step('a request whose signature is no hex', [request(1, ECHO, { n: 1, __crypto__: 'x' })]),
];

export const KEYS: readonly Step[] = [
  {
    name: 'a handshake without a key',
    world: 'crypto',
    transports: ['ws'],
    parts: () => [{ send: [handshake({ sys: AS_GAME })], until: 'end' }],
  },
];
