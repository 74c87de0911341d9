/** One answer that is too large harms nobody else, whatever carries it; and where the bound of a connection is. */
import { describe, expect, test, vi } from 'vitest';

import type { Asked } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import type { MethodAsked } from '../support/method-backend.ts';
import { MethodPair } from '../support/method-pair.ts';
import { eventually, SOON } from '../support/wait.ts';

const MIB = 1024 * 1024;
const TOLD = {
  code: 502,
  reason: 'BAD_REPLY',
  msg: "the backend's answer does not fit into a packet",
};

/** Answers with so many bytes, or when it is told to. */
function sized(held: Asked[]): (asked: Asked) => void {
  return (asked) => {
    const { bytes } = asked.body as { bytes?: number };
    if (bytes === undefined) held.push(asked);
    else asked.reply({ body: { bytes: Buffer.alloc(bytes, 0x20) } });
  };
}

describe.each(['link', 'handle'])('an answer over 16 MiB, mode: %s', (mode) => {
  test('is 502 to who asked; who waits at the same backend is answered', async () => {
    const held: Asked[] = [];
    await using pair = await Pair.start({ handler: sized(held), more: `, mode: ${mode}` });
    await using asker = await pair.join();
    await using neighbour = await pair.join();
    const waiting = neighbour.send('game.wait', {});
    await eventually(() => held[0], 'the neighbour to be heard');
    for (const bytes of [17_000_000, 40 * MIB])
      expect(await asker.request('game.ask', { bytes })).toEqual(TOLD);
    held[0]!.answer({ well: true });
    expect(await neighbour.answer(waiting)).toEqual({ well: true });
    expect(pair.backend.links.length).toBeLessThanOrEqual(1);
    const line = await eventually(
      () => pair.gateway.log.find(({ msg }) => msg === 'backend frame'),
      'a log line',
    );
    expect(line['why']).toBe('the answer to game.ask has 17000000 bytes; a packet holds 16777215');
  });
});

test('a turn of several answers that are together more than 16 MiB is well', async () => {
  const held: Asked[] = [];
  await using pair = await Pair.start({ handler: sized(held) });
  const clients = await Promise.all([0, 1, 2].map(() => pair.join()));
  const ids = clients.map((client, n) => client.send('game.wait', { n }));
  await eventually(() => held[2], 'all three');
  const pad = 'x'.repeat(7 * MIB);
  pair.backend.current.send(
    ...held.map((asked) => ({
      id: asked.id,
      reply: { body: { bytes: Buffer.from(JSON.stringify({ ...asked.body, pad })) } },
    })),
  );
  for (const [n, client] of clients.entries()) {
    const answer = await client.answer(ids[n]!);
    expect({ ...answer, pad: (answer['pad'] as string).length }).toEqual({ n, pad: 7 * MIB });
    client.close();
  }
});

test('beyond 64 MiB the link ends, and the log says why', async () => {
  const held: Asked[] = [];
  await using pair = await Pair.start({ handler: sized(held) });
  await using client = await pair.join();
  expect(await client.request('game.ask', { bytes: 65 * MIB })).toMatchObject({ code: 503 });
  expect(await pair.logged('away')).toMatch(
    /^a message of \d+ bytes came; at most 67108864 are read$/,
  );
  await vi.waitFor(async () => {
    expect(await client.request('game.ask', { bytes: 0 })).toEqual({});
  }, SOON);
});

test('by Handle it is that answer alone', async () => {
  await using pair = await Pair.start({ handler: sized([]), more: ', mode: handle' });
  await using client = await pair.join();
  expect(await client.request('game.ask', { bytes: 65 * MIB })).toEqual(TOLD);
});

test('an answer of a method over 16 MiB is 502, and its neighbours are answered', async () => {
  const held: MethodAsked[] = [];
  await using pair = await MethodPair.start((asked) => {
    if (asked.request['text'] === 'long') asked.answerBytes(Buffer.alloc(17_000_000));
    else held.push(asked);
  });
  await using asker = await pair.join();
  await using neighbour = await pair.join();
  const waiting = neighbour.send('t.say', { text: 'short' });
  await eventually(() => held[0], 'the neighbour to be heard');
  expect(await asker.request('t.say', { text: 'long' })).toEqual(TOLD);
  held[0]!.answer({ text: 'well' });
  expect(await neighbour.answer(waiting)).toEqual({ text: 'well' });
});
