/** What keeps a fast side of a Link from filling the memory of the other. */
import { describe, expect, test, vi } from 'vitest';

import type { TestClient } from '../support/client.ts';
import type { Asked } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import { jsonBytes } from '../support/grpc-shapes.ts';
import { SOON } from '../support/wait.ts';

const CREDIT = { features: ['credit'] };
const hold = (): void => {};

/** Numbers of the requests that came. */
function seen(pair: Pair): unknown[] {
  return pair.backend.requests.map(({ body }) => body['n']);
}

/** Answers that say that the backend is overloaded. */
function refusals(client: TestClient): unknown[] {
  return client.received.filter(
    (item) => item.kind === 'response' && item.body.includes('OVERLOADED'),
  );
}

describe('a backend that grants credit', () => {
  test('gets as many requests as it has granted, in their order; the others wait', async () => {
    await using pair = await Pair.start({ hello: CREDIT });
    await using client = await pair.join();
    const link = await pair.backend.wait(() => pair.backend.links[0], 'a link');
    const ids = [0, 1, 2, 3].map((n) => client.send('game.enter', { n }));
    client.notify('game.note', { n: 4 });
    // The last of a grant may be larger than what is left of it.
    link.send({ credit: { frames: 2, bytes: 1 } });
    expect(await client.answer(ids[0]!)).toMatchObject({ n: 0 });
    expect(seen(pair)).toEqual([0]);
    link.send({ credit: { bytes: 100_000 } });
    expect(await client.answer(ids[1]!)).toMatchObject({ n: 1 });
    expect(seen(pair)).toEqual([0, 1]);
    link.send({ credit: { frames: 3 } });
    await pair.backend.request(4);
    expect(seen(pair)).toEqual([0, 1, 2, 3, 4]);
    for (const n of [2, 3]) expect(await client.answer(ids[n]!)).toMatchObject({ n });
    // Two and three were granted, five were sent.
    link.send({ credit: { frames: 7, bytes: 1 } });
    await vi.waitFor(() => {
      expect(pair.gateway.gateway.metrics.render()).toContain('pith_link_credit{backend="game"} 7');
    }, SOON);
  });

  test('and then no more never sees what was given up meanwhile; its link stays', async () => {
    await using pair = await Pair.start({ hello: CREDIT, timeout: '500ms' });
    await using client = await pair.join();
    await using leaver = await pair.join();
    const link = await pair.backend.wait(() => pair.backend.links[0], 'a link');
    leaver.send('game.enter', { n: 'left' });
    expect(await client.request('game.enter', { n: 'late' })).toMatchObject({ reason: 'TIMEOUT' });
    leaver.close();
    const next = client.send('game.enter', { n: 'next' });
    await vi.waitFor(() => {
      expect(pair.gateway.gateway.info()).toMatchObject({ sessions: 1 });
    }, SOON);
    link.send({ credit: { frames: 10, bytes: 100_000 } });
    expect(await client.answer(next)).toMatchObject({ n: 'next' });
    expect(seen(pair)).toEqual(['next']);
    expect(link.got('cancel')).toEqual([]);
    expect(link.isOpen).toBe(true);
  });

  test('none for long: beyond a bound requests are refused', async () => {
    await using pair = await Pair.start({ hello: CREDIT });
    const clients = await Promise.all(Array.from({ length: 20 }, () => pair.join()));
    await pair.backend.wait(() => pair.backend.links[0], 'a link');
    for (const client of clients) for (let n = 0; n < 60; n++) client.send('game.enter', { n });
    // 1200 in all, and 1000 wait on the link.
    await vi.waitFor(() => {
      const refused = clients.flatMap(refusals);
      expect(refused).toHaveLength(200);
    }, SOON);
    for (const client of clients) client.close();
  });

  test('is granted some itself: a flood of pushes is taken as it is granted, and no more', async () => {
    await using pair = await Pair.start({ hello: CREDIT });
    await using client = await pair.join();
    const { backend } = pair;
    const link = await backend.wait(() => backend.links[0], 'a link');
    const first = await backend.wait(() => link.got('credit')[0]?.what, 'credit');
    const granted = first as { frames: number; bytes: number };
    expect(granted).toEqual({ frames: 4_096, bytes: 4 * 1024 * 1024 });
    const push = { target: { sids: ['nobody'] }, route: 'on', body: jsonBytes({}) };
    for (let n = 0; n < granted.frames; n += 256)
      link.send(...Array.from({ length: 256 }, () => ({ push })));
    // As fast as it is dealt with, there is more.
    await backend.wait(() => link.got('credit')[2], 'credit anew');
    link.send({ push: { ...push, target: { all: true } } });
    await client.push('on');
    // And one that asks for more results than that at once loses its link.
    link.send(...Array.from({ length: granted.frames + 1 }, (_, i) => ({ id: i + 1, push })));
    expect(await pair.logged('away')).toContain('more pushes than it has credit for');
  });
});

describe('a backend without credit', () => {
  test('that takes only so many at a time gets no more: max_in_flight', async () => {
    const held: Asked[] = [];
    const handler = (asked: Asked): void => void held.push(asked);
    await using pair = await Pair.start({ hello: { max_in_flight: 2 }, handler });
    await using client = await pair.join();
    const ids = [0, 1, 2, 3].map((n) => client.send('game.enter', { n }));
    for (const n of [0, 1, 2, 3]) {
      const asked = await pair.backend.request(n);
      expect(seen(pair).length).toBeLessThanOrEqual(n + 2);
      asked.answer({ n });
      expect(await client.answer(ids[n]!)).toEqual({ n });
    }
    expect(held).toHaveLength(4);
  });

  test('that does not read: requests are refused at a bound, and memory stays', async () => {
    await using pair = await Pair.start({ handler: hold, more: ', health: false' });
    const clients = await Promise.all(Array.from({ length: 8 }, () => pair.join()));
    const link = await pair.backend.wait(() => pair.backend.links[0], 'a link');
    link.pause();
    const body = { pad: 'x'.repeat(60_000) };
    for (const client of clients) for (let n = 0; n < 60; n++) client.send('game.enter', body);
    await vi.waitFor(() => {
      const refused = clients.flatMap(refusals);
      expect(refused.length).toBeGreaterThan(0);
    }, SOON);
    link.resume();
    await using after = await pair.join();
    pair.backend.handler = (asked) => {
      asked.answer({ ok: true });
    };
    await vi.waitFor(async () => {
      expect(await after.request('game.enter')).toEqual({ ok: true });
    }, SOON);
    for (const client of clients) client.close();
  });

  test('that asks for more results than can be given is read from as they are given', async () => {
    await using pair = await Pair.start();
    await using client = await pair.join();
    await client.request('game.enter');
    const { backend } = pair;
    const link = backend.current;
    const push = { target: { all: true, local: true }, route: 'on', body: jsonBytes({}) };
    const total = 6_000;
    for (let id = 1; id <= total; id += 1_000)
      link.send(...Array.from({ length: 1_000 }, (_, i) => ({ id: id + i, push })));
    await backend.wait(() => (link.got('pushed').length === total ? true : undefined), 'results');
    expect(new Set(link.got('pushed').map(({ id }) => id)).size).toBe(total);
  });
});
