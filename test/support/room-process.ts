/**
 * Rooms whose changes are numbered, in a process of their own that can be killed: `<kind>.<n>`, asked for over NATS, HTTP
 * and gRPC, with a thousand changes a second in all. Arguments: the NATS port, the HTTP port, the gRPC port, rooms of each kind.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'nats';

import { encodeToken } from '../../src/upstream/nats/subjects.ts';
import { HttpBackend } from './http-backend.ts';
import { startLinkBackend } from './link-backend.ts';
import { headersOf, serve } from './nats-backend.ts';
import { seededRandom } from './random.ts';

/** Milliseconds between two lots of changes, and changes of a lot. */
const EVERY_MS = 10;
const AT_ONCE = 10;

type Asked = { readonly room: string; readonly next?: string; readonly leave?: string };

const [natsPort, httpPort, grpcPort, rooms] = process.argv.slice(2).map(Number);
const KINDS = ['nats', 'http', 'grpc'] as const;
/** A restart begins a new one. */
const epoch = randomBytes(4).toString('hex');
const counts = new Map<string, number>();
const random = seededRandom(process.pid);

const asked = (body: Uint8Array): Asked => JSON.parse(Buffer.from(body).toString()) as Asked;
const stateOf = ({ room }: Asked) => ({ code: 200, room, epoch, n: counts.get(room) ?? 0 });
const fromOf = ({ room }: Asked): string => `${epoch}.${counts.get(room) ?? 0}`;

function changesInHeaders(one: Asked): Record<string, string> {
  return {
    ...(one.room !== '' && { 'Pith-From': fromOf(one) }),
    ...(one.next && { 'Pith-Set': JSON.stringify({ room: one.next }) }),
    ...(one.leave && { 'Pith-Leave': JSON.stringify([one.leave]) }),
  };
}

const nc = await connect({ servers: `127.0.0.1:${natsPort}` });
await serve(nc, 'pith.rpc.nats.>', ({ data }) => {
  const one = asked(data);
  return { body: JSON.stringify(stateOf(one)), headers: changesInHeaders(one) };
});
await HttpBackend.start(
  ({ body }) => {
    const one = asked(body);
    return { body: JSON.stringify(stateOf(one)), headers: changesInHeaders(one) };
  },
  { port: httpPort! },
);
const link = await startLinkBackend(
  (request) => {
    const one = asked(request.body);
    const set = one.next && { fields: { room: { stringValue: one.next } } };
    request.answer(stateOf(one), {
      ...(one.room !== '' && { from: fromOf(one) }),
      patch: { ...(set && { set }), ...(one.leave && { leave: [one.leave] }) },
    });
  },
  { port: grpcPort! },
);

function change(room: string): void {
  // After a restart the gateways have to come back first.
  if (room.startsWith('grpc') && link.links === 0) return;
  const n = (counts.get(room) ?? 0) + 1;
  const body = JSON.stringify({ room, epoch, n });
  const cursor = `${epoch}.${n}`;
  counts.set(room, n);
  if (room.startsWith('grpc'))
    link.pushAll([{ target: { groups: [room] }, route: 'd', body: { text: body }, cursor }]);
  else
    nc.publish(`pith.group.${encodeToken(room)}.push`, body, {
      headers: headersOf({ 'Pith-Route': 'd', 'Pith-Cursor': cursor }),
    });
}

let ticking: NodeJS.Timeout | undefined;
await serve(nc, 'rooms.go', () => {
  ticking ??= setInterval(() => {
    for (let i = 0; i < AT_ONCE; i++) {
      const kind = KINDS[Math.floor(random.number() * KINDS.length)]!;
      change(`${kind}.${Math.floor(random.number() * rooms!)}`);
    }
  }, EVERY_MS);
  return { body: epoch };
});
await serve(nc, 'rooms.stop', () => {
  clearInterval(ticking);
  return { body: JSON.stringify({ epoch, counts: Object.fromEntries(counts) }) };
});
console.log('rooms are open');
