/** What a step of the script is made of, and the bytes that clients write. */
import { pack } from '../support/raw.ts';
import { HANDLER, SERVER_TYPE } from './game.ts';
import type { Transport } from './wire.ts';
import { CLIENT_TYPE, type WorldName } from './worlds.ts';

/**
 * When what is sent has been dealt with. fence: when a request sent after it has been answered, twice, so that
 * what was put off by a turn of the loop has come too · the others: when such a package has come. An end of the
 * connection ends every part.
 */
export type Until = 'fence' | 'handshake' | 'heartbeat' | 'end';

/** Sends, then waits. Over WebSocket each element is a frame, over TCP they are one segment. */
export type Part = {
  readonly send: readonly Buffer[];
  readonly until: Until;
  readonly text?: boolean;
  /** Over TCP one byte at a time. */
  readonly slowly?: boolean;
  /** What comes is not what the step is about; only an end is kept. */
  readonly quiet?: boolean;
};

/** Versions that a client may have kept from an earlier handshake with the original server. */
export type Versions = { readonly dict: string; readonly proto: string };

/** What a step is played with. */
export type Given = {
  readonly kept: Versions;
  /** Nobody else's: pushes by uid reach this connection alone. */
  readonly uid: string;
};

/** One line of the comparison, played on a connection of its own. */
export type Step = {
  readonly name: string;
  readonly world: WorldName;
  readonly transports: readonly Transport[];
  /** Absent: FENCE. One of its own has the same id. */
  readonly fence?: Buffer;
  readonly parts: (given: Given) => readonly Part[];
};

export const ACK = pack(2);
export const HEARTBEAT = pack(3);

export function handshake(body: object | string): Buffer {
  return pack(1, typeof body === 'string' ? body : JSON.stringify(body));
}

/** What the client of the script says when the handshake is not what the step is about. */
export const HANDSHAKE = handshake({ sys: { type: CLIENT_TYPE, version: '1.0.0' }, user: {} });
export const OPENING: readonly Part[] = [
  { send: [HANDSHAKE], until: 'handshake' },
  { send: [ACK], until: 'fence' },
];
const OPENED: readonly Part[] = OPENING.map((part) => ({ ...part, quiet: true }));

/** What a step may be told beside what is sent. */
export type More = Omit<Part, 'send' | 'until' | 'quiet'> & {
  readonly world?: WorldName;
  readonly transports?: readonly Transport[];
  readonly until?: Until;
};

/** A step of a client that has shaken hands. */
export function sent(name: string, send: readonly Buffer[], more: More = {}): Step {
  const { world = 'plain', transports = ['ws'], until = 'fence', ...how } = more;
  return { name, world, transports, parts: () => [...OPENED, { send, until, ...how }] };
}

/** A step of a client whose uid is bound as well: Pomelo pushes by uid. */
export function pushed(name: string, send: readonly Buffer[], more: More = {}): Step {
  const { world = 'plain', transports = ['ws'], until = 'fence', ...how } = more;
  return {
    name,
    world,
    transports,
    parts: ({ uid }) => [
      ...OPENED,
      { send: [request(1, route('bind'), { uid })], until: 'fence', quiet: true },
      { send, until, ...how },
    ],
  };
}

/** A game's method as clients name it. */
export function route(method: string): string {
  return `${SERVER_TYPE}.${HANDLER}.${method}`;
}

/** An id as today's clients write it: the least significant group of seven bits first. */
export function idBytes(id: number): Buffer {
  const bytes: number[] = [];
  let rest = id;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

/** A message in its package: `to` is a route, or a code of the dictionary. */
function message(kind: number, id: Buffer, to: string | number, body: object | string | Buffer) {
  const isCode = typeof to === 'number';
  const name = isCode
    ? Buffer.from([to >> 8, to & 0xff])
    : Buffer.concat([Buffer.from([Buffer.byteLength(to)]), Buffer.from(to)]);
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const flag = Buffer.from([(kind << 1) | (isCode ? 1 : 0)]);
  return pack(4, Buffer.concat([flag, id, name, bytes]));
}

export function request(
  id: number | Buffer,
  to: string | number,
  body: object | string | Buffer = {},
): Buffer {
  return message(0, typeof id === 'number' ? idBytes(id) : id, to, body);
}

export function notify(to: string | number, body: object | string | Buffer = {}): Buffer {
  return message(1, Buffer.alloc(0), to, body);
}

/** A push as only a server should send one. */
export function pushFromClient(to: string, body: object): Buffer {
  return message(3, Buffer.alloc(0), to, body);
}

/** Id of the requests that only mark a place in the stream; no step uses it. */
export const FENCE_ID = 126;
export const FENCE = request(FENCE_ID, route('fence'));
/** How its answer begins, whatever the body. */
export const FENCE_ANSWER = Buffer.from([0x04, FENCE_ID]);
