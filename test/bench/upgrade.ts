/**
 * `node test/bench/upgrade.ts [clients] [think]`: how long `pith upgrade` keeps each client waiting. Every client has one
 * request in flight at a time; the longest time between a request and its answer is its pause. `nats` as third argument:
 * with a NATS bus, each client bound to a uid and in one of ten groups.
 */
import { readFileSync } from 'node:fs';

import { TestClient } from '../support/client.ts';
import { startNats } from '../support/nats.ts';
import { serve as answer } from '../support/nats-backend.ts';
import { pith, serve } from '../support/serve.ts';

const CLIENTS = Number(process.argv[2] ?? 5_000);
/** Between the answer and the next request of each client, in milliseconds. */
const THINK_MS = Number(process.argv[3] ?? 500);
const WITH_NATS = process.argv[4] === 'nats';
/** Connections begun at once. */
const AT_ONCE = 50;
const BEFORE_MS = 3_000;

const LIMITS = `
limits: { event_loop_lag: 0s, messages_per_second: 1000000, burst: 1000000, connections: 6000, connections_per_address: 0, handshake: 60s, ack: 60s, accepts_per_second: 100000 }
`;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const most = (of: readonly number[], q: number): number =>
  Math.round(of.toSorted((a, b) => a - b)[Math.min(of.length - 1, Math.floor(of.length * q))]!);

await using stack = new AsyncDisposableStack();
let yaml = `backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
${LIMITS}`;
if (WITH_NATS) {
  const nats = stack.use(await startNats());
  const backend = await nats.connect();
  stack.defer(() => backend.close());
  await answer(backend, 'pith.rpc.chat.login', (msg) => {
    const { n } = msg.json<{ n: number }>();
    const room = `["room${n % 10}"]`;
    return { body: '{}', headers: { 'Pith-Bind': `u${n}`, 'Pith-Join': room } };
  });
  yaml = `bus: ${nats.url}
backends: { echo: { reply: { code: 200 } }, chat: { nats: {} } }
routes: [{ match: "echo.>", backend: echo }, { match: "chat.>", backend: chat }]
${LIMITS}`;
}
const served = stack.use(await serve(yaml, '--upgradable'));
await served.logged('all workers are ready');
const clients: TestClient[] = [];
for (let at = 0; at < CLIENTS; at += AT_ONCE) {
  const some = Array.from({ length: Math.min(AT_ONCE, CLIENTS - at) }, (_, i) =>
    TestClient.connect(served.port, i % 2 === 0 ? 'ws' : 'tcp'),
  );
  clients.push(...(await Promise.all(some)));
  if (WITH_NATS)
    await Promise.all(
      clients.slice(at).map((client, i) => client.request('chat.login', { n: at + i })),
    );
}
let isOver = false;
let answers = 0;
let wrong = 0;
const longest: number[] = clients.map(() => 0);
const asking = clients.map(async (client, i) => {
  await sleep(Math.random() * THINK_MS);
  while (!isOver) {
    const at = performance.now();
    const answer = client.request('echo.a').catch(() => null);
    const code = ((await answer) as { code: number } | null)?.code;
    if (client.isEnded) return;
    if (code !== 200) wrong++;
    answers++;
    longest[i] = Math.max(longest[i]!, performance.now() - at);
    client.received.length = 0;
    await sleep(THINK_MS);
  }
});
await sleep(BEFORE_MS);
console.log(`${CLIENTS} clients, a request each ${THINK_MS} ms${WITH_NATS ? ', on NATS' : ''}`);
console.log(`before: longest wait p50 ${most(longest, 0.5)} ms, p99 ${most(longest, 0.99)} ms`);
longest.fill(0);
const { code, output } = await pith('upgrade', '--pid', String(served.running.pid));
process.stdout.write(output);
await sleep(BEFORE_MS);
isOver = true;
await Promise.all(asking);
const closed = clients.filter(({ isEnded }) => isEnded).length;
console.log(`answers ${answers}, wrong ${wrong}, closed ${closed}`);
console.log(
  `upgrade: longest wait p50 ${most(longest, 0.5)} ms, p99 ${most(longest, 0.99)} ms, most ${most(longest, 1)} ms (aim: p99 200 ms)`,
);
console.log(`load ${readFileSync('/proc/loadavg', 'utf8').trim()}`);
for (const client of clients) client.close();
process.exitCode = code === 0 && closed + wrong === 0 ? 0 : 1;
