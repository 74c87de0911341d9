/** The ports that are not for clients, below what they speak: health, admin, control. */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { json, length, NAMES, spoilt } from './values.ts';

const PORTS = ['health', 'admin', 'control'] as const;
type Port = (typeof PORTS)[number];

export const portAttacks: readonly Attack[] = PORTS.map((port) => ({
  what: 'connections',
  over: `the ${port} port`,
  first: (arena: Arena) => silent(arena, port),
  next: (arena: Arena) => noise(arena, port),
}));

/** Enough to shut others out where nobody counts them. */
const SILENT = 300;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** Many connections that say nothing, or half of something; a probe is answered meanwhile. */
async function silent(arena: Arena, port: Port): Promise<void> {
  const sockets = Array.from({ length: SILENT }, () => {
    const socket = net.connect({ port: arena.ports[port], host: '127.0.0.1' });
    socket.on('error', () => {});
    return socket;
  });
  arena.sends(0);
  await Promise.all(sockets.map(settled));
  for (const [i, socket] of sockets.entries())
    if (i % 3 === 0)
      socket.write(port === 'control' ? PREFACE.slice(0, 10) : 'GET /livez HTTP/1.1\r\nHos');
  await probe(arena);
  for (const socket of sockets) socket.destroy();
}

async function noise(arena: Arena, port: Port): Promise<void> {
  const { chance } = arena;
  const socket = net.connect({ port: arena.ports[port], host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.on('data', () => {});
  await settled(socket);
  const made = port === 'control' ? http2(chance) : http1(chance);
  const sent = chance.is(0.3) ? spoilt(chance, made) : made;
  arena.sends(sent.length);
  socket.write(sent);
  await probe(arena);
  if (socket.destroyed) arena.tally.closed++;
  else arena.tally.answered++;
  socket.destroy();
}

/** It is connected, or has failed to be. */
function settled(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', () => resolve());
  });
}

function http1(chance: Chance): Buffer {
  const path = chance.pick([
    '/livez',
    '/readyz',
    '/metrics',
    '/v1/Push',
    '/v1/attach',
    '/',
    `/${'x'.repeat(20_000)}`,
    '/%00',
    '/v1/../livez',
  ]);
  const method = chance.pick(['GET', 'POST', 'HEAD', 'CONNECT', 'PRI', 'x'.repeat(500)]);
  let head = `${method} ${path} HTTP/1.1\r\nHost: ${chance.pick(['127.0.0.1', 'evil.example', ''])}\r\n`;
  for (let i = chance.pick([0, 0, 1, 200, 3_000]); i > 0; i--) head += `h${i}: ${i}\r\n`;
  if (chance.is(0.3))
    head += `${chance.pick(['Transfer-Encoding: chunked', 'Content-Length: 5\r\nContent-Length: 6', 'Upgrade: websocket\r\nConnection: Upgrade', 'Expect: 100-continue', 'Origin: https://evil.example'])}\r\n`;
  const body = json(chance, length(chance, 100_000));
  const whole = `${head}Content-Length: ${chance.pick([body.length, 0, 1e15])}\r\n\r\n${body}`;
  return Buffer.from(chance.is(0.2) ? whole.repeat(20) : whole);
}

/** The preface and frames of HTTP/2: settings, headers that are no headers, resets, windows, pings. */
function http2(chance: Chance): Buffer {
  const parts: Buffer[] = [Buffer.from(PREFACE), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])];
  const many = chance.pick([1, 3, 1_000]);
  const type = chance.int(0, 10);
  for (let i = 0; i < many; i++) {
    const body = chance.bytes(chance.pick([0, 4, 8, 100]));
    const head = Buffer.alloc(9);
    head.writeUIntBE(chance.is(0.9) ? body.length : 0xffffff, 0, 3);
    head[3] = many > 3 ? type : chance.int(0, 10);
    head[4] = chance.int(0, 255);
    head.writeUInt32BE(2 * i + 1, 5);
    parts.push(head, body);
  }
  if (chance.is(0.1)) parts.push(Buffer.from(chance.pick(NAMES)));
  return Buffer.concat(parts);
}

/** A probe and an operator's call are answered. */
async function probe(arena: Arena): Promise<void> {
  const ask = async (port: number, path: string): Promise<void> => {
    const request = http.get({ port, host: '127.0.0.1', path, agent: false, timeout: 40_000 });
    request.on('timeout', () => request.destroy());
    try {
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      response.resume();
      if (response.statusCode !== 200) arena.fault(`${path}: ${response.statusCode}`);
    } catch (error) {
      arena.fault(`${path} was not answered: ${String(error)}`);
    }
  };
  await ask(arena.ports.health, '/livez');
  await ask(arena.ports.admin, '/readyz');
}
