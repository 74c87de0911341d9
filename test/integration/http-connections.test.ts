/** Which connection a request to an HTTP backend takes: one that its server is about to close must not be among them. */
import { afterEach, expect, test, vi } from 'vitest';

import { type HttpStage, httpStage } from '../support/http-stage.ts';
import { eventually } from '../support/wait.ts';

/** Far less than what the server says below. */
const SOON_MS = 30_000;

const kept: HttpStage[] = [];
async function stage(headers: Record<string, string>): Promise<HttpStage> {
  const made = await httpStage(() => ({ body: '{"ok":1}', headers }));
  kept.push(made);
  return made;
}
afterEach(async () => {
  vi.restoreAllMocks();
  for (const one of kept.splice(0)) await one[Symbol.asyncDispose]();
});

async function ask({ client, backend }: HttpStage, times: number): Promise<number[]> {
  for (let i = 0; i < times; i++) expect(await client.request('a.b.c')).toEqual({ ok: 1 });
  return backend.asked.map(({ connection }) => connection);
}

test('the same as before, where nothing is said', async () => {
  expect(await ask(await stage({}), 3)).toEqual([1, 1, 1]);
});

test('another one after each Connection: close', async () => {
  expect(await ask(await stage({ Connection: 'close' }), 3)).toEqual([1, 2, 3]);
});

test('an idle one is closed soon, however long its server would keep it', async () => {
  const one = await stage({ 'Keep-Alive': 'timeout=72' });
  await ask(one, 1);
  await eventually(() => one.backend.open === 0, 'the connection to be closed', SOON_MS);
  expect(await ask(one, 1)).toEqual([1, 2]);
});

test('one whose server keeps it for 2 s or less is not used again', async () => {
  expect(await ask(await stage({ 'Keep-Alive': 'timeout=2' }), 2)).toEqual([1, 2]);
});

test('another one after a minute', async () => {
  const one = await stage({});
  await ask(one, 2);
  const now = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 61_000);
  expect(await ask(one, 2)).toEqual([1, 1, 2, 2]);
});
