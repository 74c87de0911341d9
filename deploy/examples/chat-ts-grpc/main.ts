/** The chat as a gRPC backend: one function behind both Handle (one call per request) and Link (one stream for all). */
import { rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

// The messages of proto/pith/v1, with names in camelCase.
type Json = Record<string, unknown>;
type Data = { fields: Record<string, { stringValue?: string }> };
type Session = { sid: string; uid: string; data: Data | null };
type Request = { session: Session | null; route: string; notify: boolean; body: Buffer };
type Reply = { body?: Json; error?: Json; patch?: Json; pushes?: Json[] };
type GatewayFrame = {
  id: number;
  request?: Request;
  closed?: { session: Session };
  goaway?: Json;
};
type Link = grpc.ServerDuplexStream<{ frames: GatewayFrame[] }, { frames: Json[] }>;

const STOP_MS = 5_000;
const BAD_BODY = fail(400, 'BAD_BODY', 'a JSON object with the fields of this route is needed');
const NOT_IN_ROOM = fail(400, 'NOT_IN_ROOM', 'join a room first');

/** Handles one request or notify. The reply carries the changes of the session, and the pushes. */
function chat({ session, route, body }: Request): Reply {
  const { sid, uid, data } = session ?? { sid: '', uid: '', data: null };
  const was = data?.fields['room']?.stringValue ?? ''; // there because the route forwards it
  const fields = readBody(body);
  if (fields === null) return BAD_BODY;
  const { name = '', room = '', text = '', to = '' } = fields;
  const toRoom = (where: string, what: string, value: Json): Json =>
    push({ groups: [`room.${where}`], exceptSids: [sid] }, what, value);
  switch (route) {
    case 'chat.room.join': {
      if (name === '' || room === '') return BAD_BODY;
      const isMoving = was !== '' && was !== room;
      const leave = isMoving ? [`room.${was}`] : [];
      const left = isMoving ? [toRoom(was, 'onLeave', { name })] : [];
      const now = { fields: { room: { stringValue: room } } };
      return {
        ...answer({ code: 200, room }, toRoom(room, 'onJoin', { name }), ...left),
        patch: { uid: name, set: now, join: [`room.${room}`], leave },
      };
    }
    case 'chat.room.whisper': // only Link's PushResult or Control can tell whether `to` is online
      if (to === '') return BAD_BODY;
      return answer({ code: 200 }, push({ uids: [to] }, 'onWhisper', { from: uid, text }));
    case 'chat.room.send':
      if (was === '') return NOT_IN_ROOM;
      return answer({ code: 200 }, toRoom(was, 'onChat', { from: uid, text }));
    case 'chat.room.leave': {
      if (was === '') return NOT_IN_ROOM;
      const patch = { set: { fields: { room: { nullValue: 0 } } }, leave: [`room.${was}`] };
      return { ...answer({ code: 200 }, toRoom(was, 'onLeave', { name: uid })), patch };
    }
    default:
      return fail(404, 'NO_ROUTE', `no such route: ${route}`);
  }
}

/** Handles requests in the order in which they arrive, and answers all frames of a message in one message. */
function link(stream: Link): void {
  links.add(stream);
  stream.on('data', (message: { frames: GatewayFrame[] }) => {
    const frames = message.frames.flatMap(framesFor);
    if (frames.length > 0) stream.write({ frames });
    if (message.frames.some(({ goaway }) => goaway)) stream.end(); // the gateway is about to stop
  });
  stream.on('end', () => stream.end());
  stream.on('error', () => {}); // the gateway is gone; it reconnects on its own
  stream.on('close', () => links.delete(stream));
  const hello = { instance: process.env['INSTANCE'] || hostname(), version: '1.0.0' };
  stream.write({ frames: [{ hello }] });
}

function framesFor({ id, request, closed }: GatewayFrame): Json[] {
  if (closed) return left(closed.session);
  if (!request) return [];
  const reply = chat(request);
  if (!request.notify) return [{ id, reply }];
  // A notify has no reply on a Link: what it would have carried goes into frames of its own.
  const { patch, pushes = [] } = reply;
  const verb = { target: { sids: [request.session?.sid] }, patch };
  return [...(patch ? [{ verb }] : []), ...pushes.map((one) => ({ push: one }))];
}

/** The room of a session that has ended hears of it; the gateway remembers the room. */
function left({ uid, data }: Session): Json[] {
  const room = data?.fields['room']?.stringValue ?? '';
  if (room === '') return [];
  return [{ push: push({ groups: [`room.${room}`] }, 'onLeave', { name: uid }) }];
}

/** The fields, all of them strings; null if the body is anything else. */
function readBody(body: Buffer): Record<string, string> | null {
  try {
    const value = JSON.parse(body.toString()) as unknown;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    const isText = Object.values(value).every((field) => typeof field === 'string');
    return isText ? (value as Record<string, string>) : null;
  } catch {
    return null;
  }
}

function bytes(value: Json): Json {
  return { bytes: Buffer.from(JSON.stringify(value)) };
}

function answer(value: Json, ...pushes: Json[]): Reply {
  return { body: bytes(value), pushes };
}

function fail(code: number, reason: string, message: string): Reply {
  return { error: { code, reason, message } };
}

function push(target: Json, route: string, value: Json): Json {
  return { target, route, body: bytes(value) };
}

const links = new Set<Link>();
const protos = fileURLToPath(new URL('../../../proto', import.meta.url));
const definition = loadSync('pith/v1/backend.proto', {
  includeDirs: [protos],
  defaults: true,
  longs: Number,
});
const server = new grpc.Server();
server.addService(definition['pith.v1.Backend'] as grpc.ServiceDefinition, {
  Handle: (call: { request: Request }, done: grpc.sendUnaryData<Reply>) =>
    done(null, chat(call.request)),
  // Without it the gateway gets UNIMPLEMENTED, and calls Handle.
  ...(process.env['LINK'] !== 'off' && { Link: link }),
});

const addr = process.env['ADDR'] || '127.0.0.1:9000';
if (addr.startsWith('unix:')) rmSync(addr.slice(5), { force: true }); // left by a process that was killed
server.bindAsync(addr, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    console.error(`chat on gRPC: ${error.message}`);
    process.exit(1);
  }
  console.log(`chat on gRPC: listening on ${port > 1 ? addr.replace(/\d+$/, `${port}`) : addr}`);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    // The gateway sends new work elsewhere, waits for our answers, and ends the streams.
    for (const stream of links) stream.write({ frames: [{ goaway: { reason: 'shutdown' } }] });
    server.tryShutdown(() => process.exit(0));
    setTimeout(() => process.exit(0), STOP_MS);
  });
}
