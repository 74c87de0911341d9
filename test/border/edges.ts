/** Answers that are made on purpose: each was the end of some gateway, or is next to what was. */
import type { Drawn } from './replies.ts';
import { MIB } from './values.ts';

const NOTHING: Drawn = {
  body: Buffer.from('{"code":200}'),
  error: null,
  patch: null,
  pushes: [],
  close: null,
};

export type Edge = {
  readonly what: string;
  /** Bytes that the transport has to take. */
  readonly most: number;
  /** Only where there is time: a dear one, whose like is among the others. */
  readonly isLong: boolean;
  draw(): Drawn;
};

function edge(what: string, most: number, draw: () => Partial<Drawn>, isLong = false): Edge {
  return { what, most, isLong, draw: () => ({ ...NOTHING, ...draw() }) };
}

const filled = (bytes: number, letter: string): Buffer =>
  Buffer.from(`{"e":"${letter.repeat(Math.floor(bytes / Buffer.byteLength(letter)))}"}`);
const failed = (message: string, own: Buffer | null): Partial<Drawn> => ({
  error: { code: 499, reason: 'TOO_POOR', message, own },
});

/** Characters that take more room when they are escaped: three times, twice, six times. */
const GROWING = [
  ['emoji', '😀'],
  ['quotes', '\\"'],
  ['control characters', '\\u0001'],
  ['line separators', '\u2028'],
] as const;

export const EDGES: readonly Edge[] = [
  ...GROWING.flatMap(([name, letter], i) => [
    edge(`a body of ${name}`, 6 * MIB, () => ({ body: filled(6_000_000, letter) }), i > 0),
    edge(
      `an error's own body of ${name}`,
      6 * MIB,
      () => failed('', filled(6_000_000, letter)),
      i > 0,
    ),
    edge(
      `an error's text of ${name}`,
      6 * MIB,
      () => failed((JSON.parse(`"${letter}"`) as string).repeat(1_500_000), null),
      i > 1,
    ),
  ]),
  ...[0, 1, 65_536, 524_288, MIB, 4 * MIB, 16 * MIB - 40, 16 * MIB, 17_000_000, 32 * MIB].map(
    (bytes) =>
      edge(
        `a body of ${bytes} bytes`,
        bytes,
        () => ({ body: Buffer.alloc(bytes, 0x61) }),
        bytes > MIB && bytes !== 17_000_000,
      ),
  ),
  edge('a body 100,000 deep', 200_000, () => ({
    body: Buffer.from('['.repeat(100_000) + ']'.repeat(100_000)),
  })),
  edge('a body of 300,000 members', 2 * MIB, () => ({
    body: Buffer.from(`{${Array.from({ length: 300_000 }, (_, i) => `"${i}":1`).join(',')}}`),
  })),
  edge('a body like an acknowledgement of JetStream', 100, () => ({
    body: Buffer.from('{"stream":"lobby-tv","seq":17,"viewers":3}'),
  })),
  edge('the acknowledgement itself', 100, () => ({
    body: Buffer.from('{"stream":"ORDERS","seq":17,"duplicate":true}'),
  })),
  edge('100,000 keys to set', 2 * MIB, () => ({
    patch: { set: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i])) },
  })),
  edge('a key of 1 MB to set', MIB, () => ({ patch: { set: { k: 'x'.repeat(MIB) } } })),
  edge('own keys to set', 100, () => ({
    patch: { set: { constructor: 'x', toString: 'y', ['__proto__']: 'z' } },
  })),
  edge('100,000 groups to join', 2 * MIB, () => ({
    patch: { join: Array.from({ length: 100_000 }, (_, i) => `g${i}`) },
  })),
  edge('a group of 1 MB', MIB, () => ({ patch: { join: ['x'.repeat(MIB)] } })),
  edge('a uid of 1 MB', MIB, () => ({ patch: { uid: 'x'.repeat(MIB) } })),
  edge('pushes of 1.2 MB', 2 * MIB, () => pushing(1, 1_200_000, null)),
  edge('60 pushes of 20 kB', 2 * MIB, () => pushing(60, 20_000, null)),
  edge('1,200 pushes of 1 kB', 2 * MIB, () => pushing(1_200, 1_000, null)),
  edge('10,000 pushes to a user', MIB, () => pushing(10_000, 20, { uids: ['nobody'] })),
  edge('a push to 20,000 names', MIB, () =>
    pushing(1, 20, { sids: Array.from({ length: 20_000 }, (_, i) => `x-0000000000.${i}`) }),
  ),
  edge('a close with a reason of 1 MB', MIB, () => ({
    close: { reason: '😀'.repeat(260_000), kick: true },
  })),
];

function pushing(count: number, bytes: number, target: Drawn['pushes'][number]['target']) {
  const body = filled(bytes, 'x');
  return { pushes: Array.from({ length: count }, () => ({ route: 'onX', body, target })) };
}
