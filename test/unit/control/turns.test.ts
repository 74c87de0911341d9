/** What Control is asked much at once is done a part in each turn of the event loop. */
import { expect, test } from 'vitest';

import { BusApi } from '../../../src/control/bus-api.ts';
import { CONTROL, controlMethods } from '../../../src/control/service.ts';
import type { FleetCommands } from '../../../src/bus/fleet-commands.ts';
import { ANYBODY, openAudit } from '../../support/open-access.ts';
import { keptLog } from '../../support/report.ts';
import { TurnClock } from '../../support/turn-clock.ts';
import { turn } from '../session/support.ts';

/** PushRequest { 1 push { 1 target { 2 uids: "a" }, 2 route: "r" } } */
const PUSH = Buffer.from('0a080a03120161120172', 'hex');
const OUTCOME = {
  ...{ delivered: 1, dropped: 0, refused: 0, gateways: 1, kept: 0 },
  ...{ unknownUids: [], unknownSids: [], silentGateways: [] },
};

function stage() {
  const clock = new TurnClock(1_000);
  let pushed = 0;
  const fleetCommands = {
    pushCounted: () => {
      pushed++;
      return Promise.resolve(OUTCOME);
    },
  } as unknown as FleetCommands;
  const none = {
    own: null!,
    orders: null!,
    status: null!,
    fleetWatches: null!,
    mayShowBodies: null!,
  };
  const methods = controlMethods({ audit, fleetCommands, clock, ...none });
  return { clock, methods, pushed: () => pushed };
}

const audit = openAudit(keptLog().log);
const asAnybody = { caller: ANYBODY };

async function* pushes(count: number): AsyncGenerator<Buffer> {
  for (let i = 0; i < count; i++) yield PUSH;
}

test('of a PushMany whose pushes have all come, 64 are sent in a turn', async () => {
  const { clock, methods, pushed } = stage();
  const { PushMany } = methods;
  if (PushMany?.streams !== 'requests') throw new Error('PushMany takes a stream');
  let isDone = false;
  const done = PushMany.run(pushes(1_000), asAnybody).then(() => {
    isDone = true;
  });
  const turns: number[] = [];
  while (!isDone) {
    const before = pushed();
    await turn();
    await turn();
    turns.push(pushed() - before);
    clock.turn();
  }
  await done;
  expect(pushed()).toBe(1_000);
  expect(Math.max(...turns)).toBeLessThanOrEqual(64);
});

/** A session as another gateway says it, for the n-th of a thousand. */
function sessionOf(n: number) {
  return {
    ...{ sid: `g.${n}`, uid: '', gateway: 'g', remote_ip: '', client_type: '', client_version: '' },
    ...{ opened_at: '2026-01-01T00:00:00.000Z', version: '0', dialect: 'pomelo', transport: 'tcp' },
    ...{ data: {}, groups: [] },
  };
}

/** Field 1 of a Session, a text of less than 128 bytes. */
function sidOf(message: Buffer): string {
  return message.subarray(2, 2 + message[1]!).toString();
}

test('2,400 sessions are listed in three pages, and 250 of them are encoded in a turn', async () => {
  const clock = new TurnClock(1_000);
  const asked: { limit: number; after: string }[] = [];
  const fleetCommands = {
    list: (_: object, page: { limit: number; after: string }) => {
      asked.push(page);
      const first = page.after === '' ? 1 : Number(page.after.slice(2)) + 1;
      const sessions = Array.from({ length: page.limit }, (_, i) => sessionOf(first + i));
      return Promise.resolve({ sessions, more: true, silentGateways: [`s${asked.length}`] });
    },
  } as unknown as FleetCommands;
  const { ListSessions } = controlMethods({
    audit,
    fleetCommands,
    clock,
    own: null!,
    orders: null!,
    status: null!,
    fleetWatches: null!,
    mayShowBodies: null!,
  });
  if (ListSessions?.streams !== true) throw new Error('ListSessions is a stream');
  const messages: Buffer[] = [];
  let isDone = false;
  // ListSessionsRequest { 2 limit: 2400 }
  const done = (async () => {
    for await (const message of ListSessions.run(Buffer.from('10e012', 'hex'), asAnybody))
      messages.push(message);
    isDone = true;
  })();
  const turns: number[] = [];
  while (!isDone) {
    const before = messages.length;
    await turn();
    turns.push(messages.length - before);
    clock.turn();
  }
  await done;
  expect(messages.map(sidOf)).toEqual(Array.from({ length: 2_400 }, (_, i) => `g.${i + 1}`));
  expect(Math.max(...turns)).toBeLessThanOrEqual(250);
  expect(asked).toEqual([
    { limit: 1_000, after: '' },
    { limit: 1_000, after: 'g.1000' },
    { limit: 400, after: 'g.2000' },
  ]);
  // 16 rest { 1 next_page_token, 2 silent_gateways }
  expect(messages.at(-1)!.toString('latin1')).toContain(
    '\x82\x01\x14\x0a\x06g.2400\x12\x02s1\x12\x02s2\x12\x02s3',
  );
});

test('a large request over NATS is read in one turn, and carried out in the next', async () => {
  const { clock, methods, pushed } = stage();
  const api = new BusApi({
    ...{ methods, pages: {}, own: new Set<string>(), servesOwn: false, service: CONTROL },
    ...{ clock, log: keptLog().log, status: null! },
  });
  const ask = (uids: number): Promise<unknown> => {
    const target = { uids: Array.from({ length: uids }, (_, i) => `user${i}`) };
    return api.call(
      'control',
      'Push',
      Buffer.from(JSON.stringify({ push: { route: 'r', target } })),
      '',
    );
  };
  const first = ask(1);
  await turn();
  expect(pushed()).toBe(0);
  // The contract's own files were read in the first.
  clock.turn();
  expect(await first).toMatchObject({ delivered: 1 });
  expect(await ask(1)).toMatchObject({ delivered: 1 });
  const large = ask(2_000);
  await turn();
  expect(pushed()).toBe(2);
  clock.turn();
  expect(await large).toMatchObject({ delivered: 1 });
});
