/**
 * How an instance of each kind serves, and how it goes away: what the page of its transport asks of a backend. What one
 * kind does not need it does not load, since many processes are started.
 */
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

import type { InstanceOrder } from './instance.ts';

export const PROTO_DIR = fileURLToPath(new URL('proto', import.meta.url));

/** Takes a request's body, and answers it once, later. */
export type Ask = (body: Buffer, answer: (body: Buffer) => void) => void;

/** Serves; what it returns goes away, and resolves when the process may end. */
export type Serve = (order: InstanceOrder, ask: Ask) => Promise<() => Promise<void>>;

/** Longer than a gateway keeps a connection on which nothing is asked. */
const HTTP_LEAVING_MS = 2_000;

const onGrpc =
  (kind: 'link' | 'handle' | 'method'): Serve =>
  async (order, ask) =>
    (await import('./grpc-kinds.ts')).SERVE_GRPC[kind](order, ask);

export const SERVE = {
  link: onGrpc('link'),
  handle: onGrpc('handle'),
  method: onGrpc('method'),
  ...{ nats, http: onHttp, ipc, dial_in: dialIn },
} as const;

// ---- NATS -------------------------------------------------------------------------------------------------

async function nats({ where }: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  const { connect } = await import('nats');
  const nc = await connect({ servers: where });
  let [due, onQuiet] = [0, (): void => {}];
  const subscription = nc.subscribe('pith.rpc.nats.>', {
    queue: 'rollout',
    callback: (error, msg) => {
      if (error !== null) throw error;
      due++;
      ask(Buffer.from(msg.data), (body) => {
        msg.respond(body);
        if (--due === 0) onQuiet();
      });
    },
  });
  await nc.flush();
  return async () => {
    await subscription.drain();
    if (due > 0) await new Promise<void>((resolve) => (onQuiet = resolve));
    await nc.drain();
  };
}

// ---- HTTP -------------------------------------------------------------------------------------------------

async function onHttp({ where }: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  let isLeaving = false;
  const server = http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      ask(Buffer.concat(pieces), (body) => {
        response.writeHead(200, isLeaving ? { connection: 'close' } : {});
        response.end(body);
      });
    });
  });
  server.listen(Number(where), '127.0.0.1');
  await once(server, 'listening');
  return async () => {
    isLeaving = true;
    await new Promise((resolve) => setTimeout(resolve, HTTP_LEAVING_MS));
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
}

// ---- a Unix socket ----------------------------------------------------------------------------------------

type Line = { readonly seq_id?: number; readonly payload: unknown };

async function ipc({ name, where }: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    // The gateway has what it was due.
    socket.on('end', () => socket.end());
    let rest = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) onLine(socket, JSON.parse(line) as Line);
    });
  });
  const onLine = (socket: net.Socket, { seq_id, payload }: Line): void => {
    if (seq_id === undefined) return;
    ask(Buffer.from(JSON.stringify(payload)), (body) => {
      socket.write(`{"seq_id":${seq_id},"payload":${body.toString()}}\n`);
    });
  };
  // Bound beside it and renamed, it takes the path over at once; when the one before it closes, it stays.
  const own = `${where}.${name}`;
  server.listen(own);
  await once(server, 'listening');
  renameSync(own, where);
  return async () => {
    for (const socket of sockets) socket.write('{"cmd":"goaway"}\n');
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
}

// ---- dial-in ----------------------------------------------------------------------------------------------

type AttachFrame = {
  readonly id?: number;
  readonly request?: { readonly body: string };
};

async function dialIn({ name, where }: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  const { WebSocket } = await import('ws');
  const socket = new WebSocket(where);
  const say = (...frames: object[]): void => {
    socket.send(JSON.stringify({ frames }));
  };
  await once(socket, 'open');
  const closed = once(socket, 'close');
  const greeted = once(socket, 'message');
  socket.on('message', (data: Buffer) => {
    const { frames } = JSON.parse(data.toString()) as { frames: AttachFrame[] };
    for (const { id, request } of frames) {
      if (request === undefined) continue;
      ask(Buffer.from(request.body, 'base64'), (body) => {
        say({ id, reply: { body: { bytes: body.toString('base64') } } });
      });
    }
  });
  say({ hello: { backend: 'dial_in', instance: name } });
  await greeted;
  return async () => {
    say({ goaway: { reason: 'shutdown' } });
    // The gateway ends the link when it has its answers.
    await closed;
  };
}
