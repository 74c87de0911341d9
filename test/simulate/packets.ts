/** The Pomelo wire as the simulated clients write and read it: by the protocol's description, not by the gateway's code. */

export const HANDSHAKE = handshake({});
export const ACK = packet(2, Buffer.alloc(0));
export const HEARTBEAT = packet(3, Buffer.alloc(0));

/** @param user The application's own block. */
export function handshake(user: object): Buffer {
  const block = { sys: { type: 'js-websocket', version: '0.0.1' }, user };
  return packet(1, Buffer.from(JSON.stringify(block)));
}

function packet(type: number, body: Buffer): Buffer {
  const head = Buffer.from([
    type,
    body.length >>> 16,
    (body.length >>> 8) & 0xff,
    body.length & 0xff,
  ]);
  return Buffer.concat([head, body]);
}

/** A request, or with `id` 0 a notify. Route and body in ASCII. */
export function message(id: number, route: string, body: string): Buffer {
  const idBytes = id === 0 ? 0 : id < 0x80 ? 1 : id < 0x4000 ? 2 : 3;
  const length = 1 + idBytes + 1 + route.length + body.length;
  const bytes = Buffer.allocUnsafe(4 + length);
  bytes[0] = 4;
  bytes[1] = length >>> 16;
  bytes[2] = (length >>> 8) & 0xff;
  bytes[3] = length & 0xff;
  let at = 4;
  bytes[at++] = id === 0 ? 2 : 0;
  for (let rest = id, i = 0; i < idBytes; i++, rest >>>= 7)
    bytes[at++] = (rest & 0x7f) | (i < idBytes - 1 ? 0x80 : 0);
  bytes[at++] = route.length;
  at += bytes.write(route, at, 'latin1');
  bytes.write(body, at, 'latin1');
  return bytes;
}

export type Packet =
  | { readonly kind: 'handshake' | 'kick'; readonly body: string }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'response'; readonly id: number; readonly body: string }
  | { readonly kind: 'push'; readonly route: string; readonly body: string };

/** Whole packets, one after the other. @throws {Error} What no server may send. */
export function readPackets(bytes: Buffer, take: (packet: Packet) => void): void {
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUIntBE(at + 1, 3);
    if (end > bytes.length) throw new Error('a packet is cut');
    take(readPacket(bytes[at]!, bytes.subarray(at + 4, end)));
    at = end;
  }
}

function readPacket(type: number, body: Buffer): Packet {
  if (type === 1) return { kind: 'handshake', body: body.toString() };
  if (type === 3) return { kind: 'heartbeat' };
  if (type === 5) return { kind: 'kick', body: body.toString() };
  if (type !== 4) throw new Error(`packet type ${type}`);
  const flag = body[0]!;
  let at = 1;
  const kind = (flag >> 1) & 7;
  if (kind === 2) {
    let id = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = body[at++]!;
      id += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return { kind: 'response', id, body: body.toString('latin1', at) };
  }
  if (kind !== 3 || (flag & 1) !== 0) throw new Error(`flag ${flag}`);
  const routeEnd = at + 1 + body[at]!;
  return {
    kind: 'push',
    route: body.toString('latin1', at + 1, routeEnd),
    body: body.toString('latin1', routeEnd),
  };
}
