/** What a backend may answer, before it is written in the form of a transport. */
import type { Chance } from './chance.ts';
import { type Fields, structOf } from './frames.ts';
import { json, length, NAMES, NUMBERS, text } from './values.ts';

/** Parts that were drawn; `null`: the reply has none. Bodies are JSON or any bytes. */
export type Drawn = {
  readonly body: Buffer;
  readonly error: { code: number; reason: string; message: string; own: Buffer | null } | null;
  readonly patch: Fields | null;
  readonly pushes: { route: string; body: Buffer; target: Fields | null }[];
  readonly close: { reason: string; kick: boolean } | null;
};

/** None of those that the gateway gives by itself when a backend fails it: they are counted against each other. */
const CODES = [0, 1, -1, 200, 400, 402, 403, 429, 499, 500, 599, 600, 2_147_483_647];
const REASONS = ['', 'TOO_POOR', 'lower case', 'X'.repeat(300), '😀', '"\\'];

/** @param largest Bytes of the largest part. */
export function draw(chance: Chance, largest: number, size = length(chance, largest)): Drawn {
  const which = chance.int(0, 9);
  const error =
    which === 0 || which === 1
      ? {
          code: chance.pick(CODES),
          reason: chance.pick(REASONS),
          message: unescaped(text(chance, length(chance, largest / 4))),
          own: chance.is(0.6) ? bodyOf(chance, size) : null,
        }
      : null;
  return {
    body: bodyOf(chance, size),
    error,
    patch: which === 2 || which === 3 ? patchOf(chance, size) : null,
    pushes: which === 4 || which === 5 ? pushesOf(chance, size) : [],
    close: which === 6 ? { reason: chance.pick(NAMES), kick: chance.is(0.5) } : null,
  };
}

export function bytesOf({ body, error, pushes }: Drawn): number {
  const pushed = pushes.reduce((sum, push) => sum + push.body.length, 0);
  return body.length + pushed + (error?.own?.length ?? 0) + (error?.message.length ?? 0);
}

/** JSON that is all text, JSON of any shape, or bytes that are no JSON. */
function bodyOf(chance: Chance, size: number): Buffer {
  const kind = chance.int(0, 5);
  if (kind <= 2) return Buffer.from(`{"e":"${text(chance, size)}"}`);
  if (kind <= 4) return Buffer.from(json(chance, size));
  return chance.is(0.5) ? Buffer.alloc(size, chance.int(0, 255)) : chance.bytes(size % 65_536);
}

function patchOf(chance: Chance, size: number): Fields {
  const names = (most: number): string[] =>
    Array.from({ length: chance.int(0, most) }, (_, i) => chance.pick(NAMES) + (i % 7 || ''));
  return chance.pick<Fields>([
    { uid: chance.pick(['', 'ann', 'a'.repeat(300), 'ä😀', ...NAMES]) },
    { set: { [chance.pick(NAMES)]: unescaped(text(chance, size % 100_000)) } },
    { set: Object.fromEntries(names(2_000).map((name, i) => [`${name}${i}`, i])) },
    { join: names(200) },
    { join: names(10), leave: names(10), uid: 'bob' },
    { set: { n: Number(chance.pick(NUMBERS)) }, if_version: chance.int(0, 3) },
  ]);
}

function pushesOf(chance: Chance, size: number): Drawn['pushes'] {
  const many = chance.pick([1, 2, 50, 1_000]);
  const body = bodyOf(chance, Math.floor(size / many));
  return Array.from({ length: many }, () => ({
    route: chance.pick([...NAMES, 'onX', 'r'.repeat(127), 'r'.repeat(128), '漢'.repeat(80)]),
    body,
    target: chance.is(0.5)
      ? null
      : chance.pick<Fields>([{ all: false }, { uids: ['ann'] }, { sids: ['x.1'] }, {}]),
  }));
}

/** What stands between quotes in JSON, as the text that it means. */
export function unescaped(inner: string): string {
  return JSON.parse(`"${inner}"`) as string;
}

/** As fields of pith.v1.Reply, with Struct and Body as proto-loader has them. */
export function replyFields(drawn: Drawn, chance: Chance): Fields {
  const { body, error, patch, pushes, close } = drawn;
  return {
    ...(error === null
      ? { body: chance.is(0.8) ? { bytes: body } : { text: body.toString() } }
      : {
          error: {
            code: error.code,
            reason: error.reason,
            message: error.message,
            ...(error.own && { body: { bytes: error.own } }),
          },
        }),
    ...(patch && {
      patch: { ...patch, ...('set' in patch && { set: structOf(patch['set'] as Fields) }) },
    }),
    pushes: pushes.map((push) => ({ ...push, body: { bytes: push.body } })),
    ...(close && { close }),
  };
}

/** As the members of an IPC line or a frame in JSON, behind its number; values may be of a wrong type. */
export function replyJson(
  drawn: Drawn,
  chance: Chance,
  names: 'payload' | 'reply',
  spoil: boolean,
): string {
  const { body, error, patch, pushes, close } = drawn;
  const wrong = (right: string): string => (spoil && chance.is(0.3) ? json(chance, 200) : right);
  const members: string[] = [];
  if (names === 'payload') members.push(`"payload":${asJson(body)}`);
  else if (error === null)
    members.push(`"body":{"bytes":${wrong(`"${body.toString('base64')}"`)}}`);
  if (error !== null) {
    const { own, ...said } = error;
    const inner = JSON.stringify(said).slice(1, -1);
    const more = own === null ? '' : `,"body":{"bytes":"${own.toString('base64')}"}`;
    members.push(`"error":${wrong(`{${inner}${more}}`)}`);
  }
  if (patch !== null) members.push(`"patch":${wrong(JSON.stringify(patch))}`);
  if (close !== null) members.push(`"close":${wrong(JSON.stringify(close))}`);
  if (pushes.length > 0 && names === 'reply')
    members.push(
      `"pushes":${wrong(JSON.stringify(pushes.map((push) => ({ ...push, body: { bytes: push.body.toString('base64') } }))))}`,
    );
  return members.join(',');
}

/** A body that cannot stand in JSON is put in quotes. */
function asJson(body: Buffer): string {
  const text = body.toString();
  try {
    JSON.parse(text);
  } catch {
    return JSON.stringify(text);
  }
  return text.replaceAll('\n', ' ');
}
