/** The drawing board of deploy/examples/board-python-nats, with its own configuration, on two gateways. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { installPython, startBoard } from '../support/examples.ts';
import { startNats } from '../support/nats.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const CONFIG = new URL('../../deploy/examples/board-python-nats/pith.yaml', import.meta.url);

test('who opens a board while others draw has each stroke once, in order', async (ctx) => {
  const python = await installPython();
  if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
  await using nats = await startNats();
  await using board = await startBoard(python, nats.url);
  const yaml = readFileSync(CONFIG, 'utf8')
    .replace(/^listen:.*\n/m, '')
    .replace('nats://127.0.0.1:4222', nats.url);
  await using one = await serve(yaml);
  await using two = await serve(yaml);
  await using ann = await TestClient.connect(one.port);
  await using bob = await TestClient.connect(two.port, 'ws');
  const opened = { code: 200 };
  expect(await bob.request('board.show')).toMatchObject({ code: 400, reason: 'NO_BOARD' });
  expect(await ann.request('board.open', { board: 'b 1' })).toMatchObject({ reason: 'BAD_BODY' });
  for (const client of [ann, bob])
    expect(await client.request('board.open', { board: 'b1' })).toEqual(opened);
  for (let x = 0; x < 50; x++) ann.notify('board.draw', { x });
  const { strokes } = (await bob.request('board.show')) as { strokes: { x: number }[] };
  for (let x = 50; x < 100; x++) ann.notify('board.draw', { x });
  await eventually(() => strokes.length + bob.pushes('onDraw').length >= 100, 'every stroke');
  const later = bob.pushes('onDraw').map(({ body }) => body);
  expect([...strokes, ...later]).toEqual(Array.from({ length: 100 }, (_, x) => ({ x })));
  // Only who has asked for what is on it is told what follows.
  expect(ann.pushes('onDraw')).toEqual([]);
  expect(board.output()).not.toContain('Traceback');
});
