/** The processes of a measurement: what is measured, and what is built for it. */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { run, type Running, start } from '../support/process.ts';
import { writeConfig } from './config.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const BUILT = `${ROOT}.cache/go/`;

export type Measured = {
  readonly pid: number;
  readonly ws: string;
  readonly tcp: string;
};

/** Nanoseconds on a core, of all threads, as the scheduler counted them. */
export async function cpuNs(pid: number): Promise<number> {
  let total = 0;
  for (const task of await readdir(`/proc/${pid}/task`)) {
    try {
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // A thread that ended meanwhile.
    }
  }
  return total;
}

export async function build(dir: string, name: string): Promise<void> {
  const { code, output } = await run('go', ['build', '-o', BUILT + name, '.'], { cwd: HERE + dir });
  if (code !== 0) throw new Error(`go build of ${dir} failed:\n${output}`);
}

/** @param flags Of Node. */
export async function startGateway(
  name: string,
  settings: Parameters<typeof writeConfig>[1],
  flags: readonly string[] = [],
): Promise<{ running: Running; process: Measured }> {
  const config = await writeConfig(name, settings);
  const args = [...flags, `${ROOT}src/main.ts`, 'serve', '--config', config];
  const running = await start(process.execPath, args, {});
  const [, clients] = await running.waitFor(/"clients":(\[[^\]]*\])/);
  const [ws, tcp] = (JSON.parse(clients!) as string[]).map((url) => new URL(url).host);
  return { running, process: { pid: running.pid, ws: ws!, tcp: tcp! } };
}

/** What is measured beside the gateway. */
export async function startBare(
  file: string,
  ...flags: string[]
): Promise<{ running: Running; process: Measured }> {
  const running = await start(process.execPath, [HERE + file, ...flags], { cwd: ROOT });
  const [, ws] = await running.waitFor(/listening on (\S+)/);
  return { running, process: { pid: running.pid, ws: ws!, tcp: '' } };
}
