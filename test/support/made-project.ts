/** A folder that `pith init` has written, and its backend behind a real gateway. */
import { expect } from 'vitest';

import { TestClient } from './client.ts';
import { type Running, start } from './process.ts';
import { ROOT, type Served } from './serve.ts';

/** Writes it with the real program. @returns What was printed. */
export async function makeProject(folder: string, backend: string): Promise<string> {
  await using made = await start(
    process.execPath,
    ['src/main.ts', 'init', folder, '--backend', backend],
    { cwd: ROOT },
  );
  expect(await made.exited, made.output()).toBe(0);
  return made.output();
}

/** The gateway with the configuration that was written, on free ports. @param settings For --set. */
export async function serveProject(
  folder: string,
  settings: readonly string[],
): Promise<Running & { readonly port: number }> {
  const ports = ['health', 'control', 'admin'].map((name) => `${name}.listen=127.0.0.1:0`);
  const sets = ['listen.0.url=auto://127.0.0.1:0', 'log.format=json', ...ports, ...settings];
  const args = ['src/main.ts', 'serve', `${folder}/pith.yaml`];
  const running = await start(
    process.execPath,
    [...args, ...sets.flatMap((one) => ['--set', one])],
    { cwd: ROOT, ready: /"listening"/ },
  );
  const [, port] = await running.waitFor(/auto:\/\/127\.0\.0\.1:(\d+)/);
  return Object.assign(running, { port: Number(port) });
}

/** What every backend of `pith init` does. */
export async function expectHello({ port }: Pick<Served, 'port'>): Promise<void> {
  await using client = await TestClient.connect(port, 'ws');
  expect(await client.request('hello.world.greet', { name: 'ann' })).toEqual({ hello: 'ann' });
  expect(await client.push('onGreet')).toEqual({ text: 'welcome, ann' });
  for (const wrong of [{}, { name: '' }, { name: 5 }, []])
    expect(await client.request('hello.world.greet', wrong)).toMatchObject({
      code: 400,
      reason: 'BAD_BODY',
    });
}
