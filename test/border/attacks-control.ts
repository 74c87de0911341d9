/** Control by gRPC and by JSON: what an operator's script, or another's page, may send there. */
import { once } from 'node:events';
import http from 'node:http';
import { Client as GrpcClient, credentials, Metadata, status } from '@grpc/grpc-js';

import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import { join } from './attacks-own.ts';
import type { Chance } from './chance.ts';
import { count, json, length, MIB, NAMES, NUMBERS, spoilt, text } from './values.ts';

const METHODS = [
  'Push',
  'Bind',
  'Unbind',
  'SetData',
  'GetSession',
  'ListSessions',
  'GetInfo',
  'Join',
  'Watch',
  'constructor',
  'x',
];

export const controlAttacks: readonly Attack[] = [
  { what: 'calls', over: 'Control JSON', fleet: true, first: jsonEdges, next: jsonCall },
  { what: 'calls', over: 'Control gRPC', fleet: true, first: join, next: grpcCall },
];

const PATIENCE_MS = 40_000;

async function jsonEdges(arena: Arena): Promise<void> {
  await join(arena);
  const big = 'x'.repeat(1_200_000);
  const many = JSON.stringify(Array.from({ length: 50_000 }, (_, i) => `u${i}`));
  const post = (method: string, body: string): Promise<void> => post200(arena, method, body);
  // Larger than the bus takes: refused before anybody has it, or told to everybody.
  await post(
    'Push',
    `{"push":{"target":{"all":true},"route":"onX","body":{"json":{"t":"${big}"}}}}`,
  );
  await post('Push', `{"push":{"target":{"uids":${many}},"route":"onX","body":{"json":1}}}`);
  await post('Kick', `{"target":{"uids":${many}}}`);
  await post('Kick', `{"target":{"uids":["nobody"]},"close":{"reason":"${big}"}}`);
  await post('SetData', `{"sid":"border-AAAAAAAAAA.1","set":{"k":"${big}"}}`);
  await post('ListSessions', `{"target":{"uids":${many}},"page_token":"${big}"}`);
  await post('GetSession', `${'{"sid":'.repeat(50_000)}`);
  // More at once than are taken.
  await Promise.all(Array.from({ length: 200 }, () => post('ListSessions', '{"limit":1}')));
}

async function jsonCall(arena: Arena): Promise<void> {
  const { chance } = arena;
  const body = Buffer.from(bodyOf(chance, Math.min(arena.largest, 6 * MIB)));
  await post200(arena, chance.pick(METHODS), chance.is(0.3) ? spoilt(chance, body) : body);
}

function bodyOf(chance: Chance, most: number): string {
  const target = chance.pick([
    '{"uids":["ann"]}',
    '{"all":true,"except_uids":["ann"]}',
    '{"groups":["g"],"scope":"SCOPE_LOCAL"}',
    `{"sids":[${Array.from({ length: count(chance, 2_000) }, (_, i) => `"x.${i}"`).join(',')}]}`,
    json(chance, 300),
  ]);
  const value = json(chance, length(chance, most));
  return chance.pick([
    value,
    `{"push":{"target":${target},"route":"onX","body":{"json":${value}}}}`,
    `{"push":{"target":${target},"route":${value},"body":{"text":"${text(chance, 500)}"}},"wait":"1e9s"}`,
    `{"sid":"x.1","uid":${value}}`,
    `{"sid":${value},"set":${json(chance, 3_000)},"if_version":${chance.pick(NUMBERS)}}`,
    `{"target":${target},"limit":${chance.pick(NUMBERS)},"page_token":${json(chance, 300)}}`,
    `{"sid":"x.1","sid":"y.1",${JSON.stringify(chance.pick(NAMES))}:1}`,
  ]);
}

/** A POST that is to be answered, whatever it says. */
async function post200(arena: Arena, method: string, body: string | Buffer): Promise<void> {
  arena.sends(body.length);
  const request = http.request({
    port: arena.ports.admin,
    host: '127.0.0.1',
    path: `/v1/${method}`,
    method: 'POST',
    agent: false,
    headers: { 'Content-Length': Buffer.byteLength(body) },
  });
  const late = setTimeout(() => {
    arena.fault(`Control's ${method} was never answered`);
    request.destroy();
  }, PATIENCE_MS);
  request.end(body);
  try {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    let said = '';
    for await (const part of response) said += String(part);
    if (response.statusCode === 200) arena.tally.answered++;
    else arena.refuse(`HTTP ${response.statusCode}`);
    if (response.statusCode === 500) arena.fault(`Control's ${method}: 500 ${said.slice(0, 200)}`);
  } catch {
    arena.tally.closed++;
  }
  clearTimeout(late);
}

async function grpcCall(arena: Arena): Promise<void> {
  const { chance, ports } = arena;
  const raw = (bytes: Buffer): Buffer => bytes;
  const client = new GrpcClient(`127.0.0.1:${ports.control}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  const service = chance.pick([
    'pith.v1.Control',
    'pith.v1.Control',
    'grpc.health.v1.Health',
    'pith.v1.Gateway',
  ]);
  const path = `/${service}/${chance.pick([...METHODS, 'Check', 'Attach', 'PushMany'])}`;
  // A field of a number and a length that may be true, as protobuf begins; or anything.
  const inner = chance.bytes(chance.logarithmic(2_000));
  const bytes = chance.is(0.5)
    ? Buffer.concat([Buffer.from([0x0a, inner.length & 0x7f]), inner])
    : Buffer.alloc(length(chance, Math.min(arena.largest, 20 * MIB)), chance.int(0, 255));
  arena.sends(bytes.length);
  const deadline = Date.now() + PATIENCE_MS;
  const stream = client.makeServerStreamRequest(path, raw, raw, bytes, new Metadata(), {
    deadline,
  });
  stream.on('data', () => {});
  stream.on('error', () => {});
  // A watch is answered for ever.
  if (path.endsWith('/Watch')) stream.once('data', () => stream.cancel());
  const code = await new Promise<number>((resolve) => {
    stream.on('status', (ended) => resolve(ended.code));
  });
  if (code === status.OK) arena.tally.answered++;
  else arena.refuse(`gRPC ${code}`);
  if (code === status.DEADLINE_EXCEEDED) arena.fault(`${path} was never answered`);
  client.close();
}
