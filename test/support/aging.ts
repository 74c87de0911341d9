/** The backend on stock grpc-go whose connections may reach an age: test/backends/aging-go, built once. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { run, type Running, start } from './process.ts';

const SOURCE = fileURLToPath(new URL('../backends/aging-go', import.meta.url));
const JAVA_SOURCE = fileURLToPath(new URL('../backends/aging-java', import.meta.url));
const BUILT = fileURLToPath(new URL('../../.cache/go/', import.meta.url));
/** Folders of the .proto files of aging.v1.Backend, whose Handle is that of pith.v1.Backend. */
export const AGING_PROTOS = ['../../proto', '../backends/aging-proto'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);
let build: Promise<string> | null = null;

export type Aging = Running & { readonly address: string };

async function buildNow(): Promise<string> {
  mkdirSync(BUILT, { recursive: true });
  const program = `${BUILT}aging-go-${process.pid}`;
  const { code, output } = await run('go', ['build', '-o', program, '.'], { cwd: SOURCE });
  if (code !== 0) throw new Error(`go build of aging-go failed:\n${output}`);
  return program;
}

/** @param env MAX_AGE and MAX_GRACE, as Go writes durations; LINK=off. */
export async function startAging(env: Record<string, string> = {}): Promise<Aging> {
  build ??= buildNow();
  return listening(await start(await build, [], { env }));
}

/** The same on stock grpc-java; MAX_AGE_MS and MAX_GRACE_MS. Maven compiles it, which takes minutes at first. */
export async function startJavaAging(env: Record<string, string> = {}): Promise<Aging> {
  const words = ['-q', '-B', 'compile', 'exec:java'];
  return listening(await start('mvn', words, { cwd: JAVA_SOURCE, env }), 600_000);
}

/** Once it has said where it listens. */
async function listening(running: Running, ms?: number): Promise<Aging> {
  const match = await running.waitFor(/listening on (\S+)/, ms);
  return Object.assign(running, { address: match[1]! });
}

export type Mode = 'link' | 'handle' | 'method';

/** A gateway before a backend like this one, which answers each request with its body. */
export function agingGateway(mode: Mode, grpc: string, more = ''): Promise<TestGateway> {
  const keys = `{ grpc: "${grpc}", mode: ${mode}${more}`;
  const isMethod = mode === 'method';
  return startGateway(`
backends: { game: ${keys}${isMethod ? `, services: [aging.v1.Backend], protos: ${JSON.stringify(AGING_PROTOS)}` : ''} } }
routes:
  - { match: "game.>", backend: game, timeout: 600s${isMethod ? ', method: /aging.v1.Backend/Handle' : ''} }
heartbeat: 0s
limits: { messages_per_second: 100000, burst: 100000 }
`);
}

/** Asks, and says whether the answer is that to this request; else what came. The backend takes `ms`. */
export async function asks(
  client: TestClient,
  mode: Mode,
  n: number,
  ms: number,
): Promise<true | object> {
  const route = `game.wait.${ms}`;
  const body = mode === 'method' ? { route, body: btoa(String(n)) } : { n };
  const answer = await client.request(route, body);
  const text = JSON.stringify(answer);
  const isOwn = text.includes(mode === 'method' ? `"${btoa(String(n))}"` : `{"n":${n}}`);
  return isOwn ? true : answer;
}

/**
 * Four clients each ask `count` times in a row; each fifth answer takes `slowMs`, the others ten. What came that was
 * no answer. All of it should take longer than a connection may live with its grace, and a slow answer far shorter
 * than that grace, or a busy machine loses what nobody else would.
 */
export async function askAll(
  gateway: TestGateway,
  mode: Mode,
  rounds: { count: number; slowMs: number },
): Promise<object[]> {
  const wrong: object[] = [];
  const play = async (first: number): Promise<void> => {
    await using client = await TestClient.connect(gateway.port, 'tcp');
    for (let n = first; n < first + rounds.count; n++) {
      const outcome = await asks(client, mode, n, n % 5 === 0 ? rounds.slowMs : 10);
      if (outcome !== true) wrong.push(outcome);
    }
  };
  await Promise.all([play(0), play(10_000), play(20_001), play(30_002)]);
  return wrong;
}
