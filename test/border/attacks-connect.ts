/** The backend's word at a handshake, over each transport that can give it: who comes in, with what, or why not. */
import type { Arena, Plans } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { Client } from './client.ts';
import { type Fields, linkBytes, connectBytes, structOf } from './frames.ts';
import { unescaped } from './replies.ts';
import { json, length, MIB, NAMES, spoilt, text } from './values.ts';

/** Words that the transport has to carry: fields, and text that is not what it should be. */
type Word = { readonly fields: Fields; readonly text: string };

const BACK_MS = 30_000;
const emoji = '😀'.repeat(1_500_000);

/** What no handshake's answer holds, or would hold before it is escaped. */
const EDGES: readonly (() => Fields)[] = [
  () => ({ accept: { user: { e: emoji } } }),
  () => ({ accept: { user: { e: 'x'.repeat(17 * MIB) } } }),
  () => ({ error: { code: 499, reason: emoji } }),
  () => ({ error: { code: 499, reason: 'TOO_POOR', message: emoji } }),
  () => ({ accept: { patch: { uid: emoji } } }),
  () => ({ accept: { patch: { join: Array.from({ length: 50_000 }, (_, i) => `g${i}`) } } }),
  () => ({ accept: {}, error: { code: 1 } }),
  () => ({}),
];

export const connectAttacks: readonly Attack[] = [
  handshaking('link', 'Link', ({ id, send }, { fields }, chance) => {
    const encoded = linkBytes({ frames: [{ id, connect: inProto(fields) }] });
    send(chance.is(0.1) ? spoilt(chance, encoded) : encoded);
  }),
  handshaking('handle', 'Connect', (say, { fields }, chance) => {
    const encoded = connectBytes(inProto(fields));
    if (chance.is(0.1)) say.status(chance.int(1, 17), 'what');
    else say.reply(chance.is(0.1) ? spoilt(chance, encoded) : encoded);
  }),
  handshaking('nats', 'NATS', ({ reply, wire }, { text: said }) => {
    wire.publish(reply, '', '', Buffer.from(said).subarray(0, 1_000_000));
  }),
  handshaking('http', 'HTTP', ({ socket }, { text: said }) => {
    socket.end(`HTTP/1.1 200 X\r\nContent-Length: ${Buffer.byteLength(said)}\r\n\r\n${said}`);
  }),
  handshaking('ipc', 'IPC', ({ seq, socket }, { text: said }) => {
    socket.write(`{"seq_id":${seq},"payload":${said.replaceAll('\n', ' ')}}\n`);
  }),
];

/** The gateway that asks at each handshake is a second one, so that the bystanders are not turned away. */
function handshaking<K extends Exclude<keyof Plans, 'dial' | 'dialws' | 'method'>>(
  kind: K,
  over: string,
  say: (means: Parameters<Plans[K]>[0], word: Word, chance: Chance) => void,
): Attack {
  const one = async (arena: Arena, word: Word): Promise<void> => {
    const plan = (means: Parameters<Plans[K]>[0]): void => say(means, word, arena.chance);
    await shake(arena, plan, word.text.length);
  };
  return {
    what: 'words at a handshake',
    over,
    ends: `x${kind}`,
    door: kind,
    async first(arena) {
      for (const edge of EDGES) {
        const fields = edge();
        await one(arena, { fields, text: JSON.stringify(fields) });
      }
    },
    next: (arena) => one(arena, wordOf(arena.chance, arena.largest)),
  };
}

/** A client shakes hands, and has an answer or its connection's end. */
async function shake(arena: Arena, plan: unknown, bytes: number): Promise<void> {
  const number = arena.plan(plan);
  arena.sends(bytes);
  const body = await shakenBy(arena, number);
  arena.plans.delete(number);
  if (body === undefined) arena.tally.closed++;
  else if (body.startsWith('{"code":200')) arena.tally.answered++;
  else arena.refuse(/"code":(\d+)/.exec(body)?.[1] ?? 'none');
  if (body?.startsWith('{"code":503') !== true) return;
  // Its carrier was ended: the next case is to come after it is back.
  for (const until = performance.now() + BACK_MS; performance.now() < until;) {
    if ((await shakenBy(arena, 0))?.startsWith('{"code":200')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  arena.fault(`nobody is let in ${BACK_MS} ms later, though the backend is there`);
}

/** What the handshake of this case is answered; undefined: the connection was closed. */
async function shakenBy(arena: Arena, number: number): Promise<string | undefined> {
  const client = await Client.open(arena.ports.door, 'tcp', 'pomelo');
  await client.handshake(
    Buffer.from(`{"sys":{"type":"border","version":"1"},"user":{"case":${number}}}`),
  );
  const [body] = client.handshakes;
  await client.close();
  return body;
}

function wordOf(chance: Chance, largest: number): Word {
  const size = length(chance, Math.min(largest, 4 * MIB));
  const words = unescaped(text(chance, size));
  const fields = chance.pick<Fields>([
    { accept: { user: { [chance.pick(NAMES)]: words }, patch: { uid: chance.pick(NAMES) } } },
    { accept: { patch: { set: { k: words }, join: NAMES } } },
    { accept: { expires_in: { seconds: chance.pick(['0', '-1', '315576000001']) } } },
    { error: { code: chance.int(-1, 700), reason: words.slice(0, 100_000), message: words } },
  ]);
  const right = JSON.stringify(fields).replaceAll(/\{"seconds":"([^"]*)"\}/g, '"$1s"');
  const said = chance.is(0.7)
    ? right
    : `{"accept":{"user":${json(chance, size)},"patch":${json(chance, 2_000)},"expires_in":${json(chance, 50)}}}`;
  return { fields, text: said };
}

function inProto(fields: Fields): Fields {
  const accept = fields['accept'] as Fields | undefined;
  if (accept === undefined) return fields;
  const patch = accept['patch'] as Fields | undefined;
  const user = accept['user'] as Fields | undefined;
  const set = patch?.['set'] as Fields | undefined;
  return {
    ...fields,
    accept: {
      ...accept,
      ...(user && { user: structOf(user) }),
      ...(patch && { patch: { ...patch, ...(set && { set: structOf(set) }) } }),
    },
  };
}
