/** Who dials in, and what is said first: hellos of nobody, frames before the hello, and what is no frame at all. */
import { Client as GrpcClient, credentials } from '@grpc/grpc-js';
import { WebSocket } from 'ws';

import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { type Fields, linkBytes } from './frames.ts';
import { unescaped } from './replies.ts';
import { count, json, length, MIB, NAMES, spoilt, text } from './values.ts';

export const dialAttacks: readonly Attack[] = [
  { what: 'hellos', over: 'dial-in gRPC', next: byGrpc },
  { what: 'hellos', over: 'dial-in WebSocket', next: byWebSocket },
];

/** The gateway gives five seconds to say hello. */
const PATIENCE_MS = 40_000;

/** No backend that may be dialled in for: nobody is to be served by who does this. */
const BACKENDS = ['nobody', 'alink', '', ...NAMES];

function framesOf(chance: Chance): Fields[] {
  const words = unescaped(text(chance, length(chance, MIB)));
  const hello = {
    backend: chance.is(0.8) ? chance.pick(BACKENDS) : `nobody-${words}`,
    token: chance.is(0.3) ? words : 'x',
    instance: chance.is(0.3) ? words : 'one',
    features: Array.from({ length: count(chance, 10_000) }, (_, i) => `f${i}`),
  };
  const push = { target: { all: true }, route: 'onX', body: { text: 'x' } };
  return chance.pick<Fields[]>([
    [{ hello }],
    [{ hello }, { hello }, { id: 1, reply: {} }],
    [{ id: 1, reply: {} }, { hello }],
    [{ id: 1, push }],
    [{ goaway: {} }],
    [],
  ]);
}

/** Nobody is attached, and the stream is ended; the backend that is attached is served on. */
async function byGrpc(arena: Arena): Promise<void> {
  const { chance } = arena;
  const encoded = linkBytes({ frames: framesOf(chance) });
  const sent = chance.is(0.3) ? spoilt(chance, encoded) : encoded;
  arena.sends(sent.length);
  const raw = (bytes: Buffer): Buffer => bytes;
  const client = new GrpcClient(`127.0.0.1:${arena.ports.control}`, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest('/pith.v1.Gateway/Attach', raw, raw);
  stream.on('error', () => {});
  stream.on('data', () => {});
  const ended = new Promise<number>((resolve) => {
    stream.on('status', ({ code }) => resolve(code));
  });
  stream.write(sent);
  if (sent.length === 0) stream.end();
  await endedIn(arena, ended);
  client.close();
  await served(arena, 'dial');
}

async function byWebSocket(arena: Arena): Promise<void> {
  const { chance } = arena;
  const whole = chance.is(0.7)
    ? JSON.stringify({ frames: framesOf(chance) })
    : json(chance, length(chance, MIB));
  const bytes = Buffer.from(whole);
  const sent = chance.is(0.3) ? spoilt(chance, bytes) : bytes;
  arena.sends(sent.length);
  const socket = new WebSocket(`ws://127.0.0.1:${arena.ports.admin}/v1/attach`);
  socket.on('error', () => {});
  const ended = new Promise<number>((resolve) => {
    socket.on('close', resolve);
  });
  socket.on('open', () => {
    socket.send(sent, { binary: chance.is(0.2) });
  });
  await endedIn(arena, ended);
  socket.terminate();
  await served(arena, 'dialws');
}

/** Whoever says no hello that counts is sent away. */
async function endedIn(arena: Arena, ended: Promise<number>): Promise<void> {
  const late = new Promise<null>((resolve) => {
    setTimeout(resolve, PATIENCE_MS, null).unref();
  });
  const code = await Promise.race([ended, late]);
  if (code === null) arena.fault('who said no hello is not sent away');
  else arena.refuse(String(code));
}

async function served(arena: Arena, kind: 'dial' | 'dialws'): Promise<void> {
  const client = await arena.client('pomelo', 'tcp');
  const outcome = await client.ask(`x${kind}.echo.say`, '{"served":1}', PATIENCE_MS);
  if (outcome.kind !== 'answer' || !outcome.body.includes('"served":1'))
    arena.fault(`x${kind} is not served any more`);
}
