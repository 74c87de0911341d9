/** The stream of kept pushes, as `make keep-stream` makes it, and its double: both are played the same. */
import { join } from 'node:path';
import { headers, type Msg, type NatsConnection } from 'nats';
import { expect, test } from 'vitest';

import { KeepStreamDouble } from '../support/keep-stream.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const MAKE = join(ROOT, 'deploy/nats/keep-stream.ts');

function make(nats: TestNats, env: Record<string, string> = {}) {
  return run(process.execPath, [MAKE], { env: { NATS_URL: nats.url, ...env } });
}

test('is made, and made again with other limits', async () => {
  await using nats = await startNats('jetstream { store_dir: "$DIR/js" }');
  expect(await make(nats)).toMatchObject({ code: 0, output: 'stream PITH_KEEP: created\n' });
  const more = { MAX_AGE: '30s', MAX_PER_USER: '7' };
  expect(await make(nats, more)).toMatchObject({ code: 0, output: 'stream PITH_KEEP: updated\n' });
  const nc = await nats.connect();
  const info = await nc.request('$JS.API.STREAM.INFO.PITH_KEEP');
  expect(info.json<{ config: object }>().config).toMatchObject({
    subjects: ['pith.keep.user.*'],
    max_msgs_per_subject: 7,
    max_age: 30e9,
    discard: 'old',
    allow_direct: true,
    republish: { src: 'pith.keep.user.*', dest: 'pith.user.{{wildcard(1)}}.kept' },
  });
  expect(await make(nats, { MAX_PER_USER: 'all' })).toMatchObject({
    code: 1,
    output: 'keep-stream: MAX_PER_USER is all: expected a whole number, 1 or more\n',
  });
  expect(await make(nats, { MAX_AGE: 'long' })).toMatchObject({
    code: 1,
    output: 'keep-stream: MAX_AGE is long: expected a time like 24h or 7d\n',
  });
});

test('needs JetStream, and says so', async () => {
  await using nats = await startNats();
  const { code, output } = await make(nats);
  expect(code).toBe(1);
  expect(output).toMatch(/^keep-stream: no responders/);
});

type Line = { readonly status: number; readonly lines: readonly string[]; readonly body: string };

/** Without the times. */
function lineOf(status: number, lines: readonly string[], body: string): Line {
  return { status, lines: lines.filter((line) => !line.startsWith('Nats-Time-Stamp')), body };
}

function lineOfReal(message: Msg): Line {
  const found = [...(message.headers ?? [])].flatMap(([name, values]) =>
    [values].flat().map((value) => `${name}: ${value}`),
  );
  return lineOf(message.headers?.code ?? 0, found, message.string());
}

/** As the client library gives them: lines of one name together. */
function lineOfDouble(head: Buffer, body: Buffer): Line {
  const [first = '', ...rest] = head.toString().split('\r\n');
  const names = new Map<string, string[]>();
  for (const line of rest.filter((one) => one !== '')) {
    const name = line.slice(0, line.indexOf(':'));
    names.set(name, [...(names.get(name) ?? []), line]);
  }
  const status = Number(/^NATS\/1\.0 ([0-9]+)/.exec(first)?.[1] ?? 0);
  return lineOf(status, [...names.values()].flat(), body.toString());
}

/** What is published, and what is asked for then. */
const PUBLISHED: readonly (readonly [uid: string, body: string, lines?: readonly string[]])[] = [
  ['ann', '1', ['Pith-Route: a']],
  ['bob', '2', ['Pith-Route: b']],
  ['ann', '3', ['Nats-Sequence: 900', 'Nats-Stream: X', 'Pith-Route: c', 'Nats-Num-Pending: 5']],
  ['ann', '4'],
  ['ann', '5', ['Pith-Route: d']],
  ['ann', '6', ['Pith-Route: e']],
];
const ASKED = [
  { seq: 1, next_by_subj: 'pith.keep.user.ann', batch: 64, max_bytes: 262_144 },
  { seq: 1, next_by_subj: 'pith.keep.user.ann', batch: 2, max_bytes: 262_144 },
  { seq: 4, next_by_subj: 'pith.keep.user.ann', batch: 64, max_bytes: 262_144 },
  { seq: 7, next_by_subj: 'pith.keep.user.ann', batch: 64, max_bytes: 262_144 },
  { seq: 1, next_by_subj: 'pith.keep.user.eve', batch: 64, max_bytes: 262_144 },
  { seq: 2, next_by_subj: 'pith.keep.user.bob' },
];

async function playReal(nats: TestNats): Promise<Line[]> {
  const nc = await nats.connect();
  const heard: Line[] = [];
  nc.subscribe('pith.user.*.*', {
    callback: (_, message) => {
      heard.push({ ...lineOfReal(message), body: `${message.subject} ${message.string()}` });
    },
  });
  for (const [uid, body, lines = []] of PUBLISHED) {
    const block = headers();
    for (const line of lines) block.append(...(line.split(': ') as [string, string]));
    const options = { timeout: 5_000, ...(lines.length > 0 && { headers: block }) };
    await nc.request(`pith.keep.user.${uid}`, body, options);
  }
  await eventually(() => heard.length === PUBLISHED.length, 'what the stream sends on');
  for (const question of ASKED) heard.push(...(await askReal(nc, question)));
  return heard;
}

/** Until the end of a batch, or one answer. */
async function askReal(nc: NatsConnection, question: { batch?: number }): Promise<Line[]> {
  const answers: Line[] = [];
  const inbox = `_INBOX.${Math.random()}`;
  const subscription = nc.subscribe(inbox);
  nc.publish('$JS.API.DIRECT.GET.PITH_KEEP', JSON.stringify(question), { reply: inbox });
  for await (const message of subscription) {
    answers.push(lineOfReal(message));
    if (question.batch === undefined || answers.at(-1)!.status !== 0) break;
  }
  return answers;
}

function playDouble(): Line[] {
  const stream = new KeepStreamDouble();
  stream.config.perUser = 4;
  const heard = PUBLISHED.map(([uid, body, lines = []]) => {
    const block = lines.length > 0 ? `NATS/1.0\r\n${lines.join('\r\n')}\r\n\r\n` : '';
    const message = {
      subject: `pith.keep.user.${uid}`,
      head: Buffer.from(block),
      payload: Buffer.from(body),
    };
    const { subject, head, payload } = stream.store(message, 0);
    return { ...lineOfDouble(head, payload), body: `${subject} ${payload.toString()}` };
  });
  for (const question of ASKED) {
    const answers = stream.answer('$JS.API.DIRECT.GET.PITH_KEEP', JSON.stringify(question))!;
    heard.push(...answers.map(({ head, payload }) => lineOfDouble(head, payload)));
  }
  return heard;
}

test('does what its double does', async () => {
  await using nats = await startNats('jetstream { store_dir: "$DIR/js" }');
  await make(nats, { MAX_PER_USER: '4' });
  expect(playDouble()).toEqual(await playReal(nats));
});
