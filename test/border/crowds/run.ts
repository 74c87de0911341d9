/**
 * `make border-crowds N=5000`: as many hostile connections of each kind, one kind after the other, while 500 clients play.
 * Prints what each connection holds, how long they are there, and what those who play notice.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { Authority, SecretFolder } from '../../support/tls.ts';
import { Client } from '../client.ts';
import { Gateway } from '../gateway.ts';
import type { Said, Told } from './crowd-process.ts';
import { crowdConfig, type CrowdKind, type CrowdPorts, KINDS } from './kinds.ts';

const N = Number(process.env['N'] ?? 5_000);
const ONLY = process.env['ONLY'] ?? '';
const PLAYERS = 500;
const ASK_EVERY_MS = 1_000;
const DEADLINE = '10s';
const OUTBOXES_MIB = 64;
const QUIET_MS = 10_000;
/** The deadlines, a heartbeat that is due twice, and a gateway with much to do. */
const GONE_MS = 60_000;
const KIB = 1_024;

/** Clients that ask one thing a second each, and how long that takes. */
class Players {
  readonly #clients: Client[] = [];
  #tookMs: number[] = [];
  failed = 0;
  #isOver = false;

  async join(port: number): Promise<void> {
    for (let i = 0; i < PLAYERS; i++) {
      const client = await Client.join(port, i % 2 === 0 ? 'tcp' : 'ws', 'pomelo');
      this.#clients.push(client);
      void this.#play(client, (i * ASK_EVERY_MS) / PLAYERS);
    }
  }

  async #play(client: Client, offsetMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, offsetMs));
    while (!this.#isOver) {
      const since = performance.now();
      const { kind } = await client.ask('echo.a', '{}', GONE_MS);
      const took = performance.now() - since;
      this.#tookMs.push(took);
      if (kind !== 'answer') this.failed++;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, ASK_EVERY_MS - took)));
    }
  }

  /** The 99th percentile since this was asked the last time; milliseconds. */
  takeP99(): number {
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    this.#tookMs = [];
    return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  }

  async leave(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

const crowdProcess = fork(fileURLToPath(new URL('crowd-process.ts', import.meta.url)));
async function tell(told: Told): Promise<Said> {
  crowdProcess.send(told);
  const [said] = (await once(crowdProcess, 'message')) as [Said];
  return said;
}
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One line of the table; what is wrong is behind it. */
async function run(
  gateway: Gateway,
  players: Players,
  kind: CrowdKind,
): Promise<{ line: string; faults: string[] }> {
  const [open = 0, proxied = 0] = gateway.ports.clients;
  const ports: CrowdPorts = { open, proxied };
  await tell({ tell: 'come', kind: KINDS.indexOf(kind), count: 20, ports });
  await tell({ tell: 'leave' });
  await gateway.held();
  players.takeP99();
  await rest(QUIET_MS);
  const quietMs = players.takeP99();
  const before = await gateway.inside('collect');
  const countBefore = (await gateway.metrics()).get(kind.ends) ?? 0;
  const came = await tell({ tell: 'come', kind: KINDS.indexOf(kind), count: N, ports });
  const { size } = came;
  let { ended } = came;
  const since = performance.now();
  const outboxBytes = (await gateway.metrics()).get('pith_outbox_bytes') ?? 0;
  const after = await gateway.inside('collect');
  players.takeP99();
  const isGone = async (): Promise<boolean> => {
    const metrics = await gateway.metrics();
    // The kernel may have taken all that is for one who reads nothing, and who is then only silent.
    if (kind.bytesMax === 0) return metrics.get('pith_sessions') === PLAYERS;
    return (metrics.get(kind.ends) ?? 0) - countBefore >= size;
  };
  while (!(await isGone()) && performance.now() - since < GONE_MS) await rest(250);
  const goneS = (performance.now() - since) / 1_000;
  const busyMs = players.takeP99();
  await tell({ tell: 'listen' });
  while (ended < size && performance.now() - since < GONE_MS) {
    await rest(250);
    ({ ended } = await tell({ tell: 'look' }));
  }
  await tell({ tell: 'leave' });
  const held = after.heapBytes + after.externalBytes - before.heapBytes - before.externalBytes;
  const resident = after.residentBytes - before.residentBytes;
  const faults: string[] = [];
  const outboxesBytes = OUTBOXES_MIB * KIB * KIB;
  const limit = outboxesBytes * 1.3;
  if (kind.bytesMax > 0 && held / size > kind.bytesMax) faults.push('each holds too much');
  if (kind.bytesMax === 0 && held > limit) faults.push('all together hold too much');
  if (outboxBytes > outboxesBytes) faults.push('the outboxes pass their bound');
  if (ended < size) faults.push(`${size - ended} are still there`);
  const line = [
    kind.name.padEnd(36),
    String(size).padStart(6),
    (held / size / KIB).toFixed(1).padStart(9),
    (resident / size / KIB).toFixed(1).padStart(9),
    (outboxBytes / KIB / KIB).toFixed(1).padStart(8),
    goneS.toFixed(1).padStart(6),
    quietMs.toFixed(1).padStart(8),
    busyMs.toFixed(1).padStart(8),
  ].join(' ');
  return { line, faults };
}

using secret = new SecretFolder(new Authority().issue('server'));
await using gateway = await Gateway.start(
  crowdConfig(secret, DEADLINE, { outboxesMiB: OUTBOXES_MIB, count: N }),
);
const players = new Players();
await players.join(gateway.ports.clients[0]!);
console.log(
  `${'kind'.padEnd(36)}  count  KiB each  resident  outbox   gone    p99 ms, before, and with them
${' '.repeat(36)}                            MiB    s`,
);
let isBad = false;
for (const kind of KINDS) {
  if (!kind.name.includes(ONLY)) continue;
  const { line, faults } = await run(gateway, players, kind);
  console.log([line, ...faults].join('  '));
  isBad ||= faults.length > 0;
}
console.log(`${players.failed} requests of those who play were not answered`);
isBad ||= players.failed > 0;
await players.leave();
crowdProcess.disconnect();
process.exitCode = isBad ? 1 : 0;
