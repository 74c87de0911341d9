/**
 * `make border-crowds N=5000`: as many hostile connections of each kind, one kind after the other, while 500 clients play.
 * Prints what each connection holds, how long they are there, and what those who play notice.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { Authority, SecretFolder } from '../../support/tls.ts';
import type { Transport } from '../client.ts';
import { Gateway } from '../gateway.ts';
import { BareServer } from './bare-server.ts';
import type { Said, Told } from './crowd-process.ts';
import { crowdConfig, type CrowdKind, type CrowdPorts, KINDS } from './kinds.ts';
import { Players } from './players.ts';

const N = Number(process.env['N'] ?? 5_000);
/** Parts of names, separated by commas. */
const ONLY = (process.env['ONLY'] ?? '').split(',');
const PLAYERS = 500;
/** How fast they come: as `limits.accepts_per_second` lets them in by default; 0: as fast as they can, and all are let in. */
const PER_SECOND = Number(process.env['PER_SECOND'] ?? 500);
/** All are there together before the first is late. */
const DEADLINE_MS = 15_000;
const OUTBOXES_MIB = 64;
const QUIET_MS = Number(process.env['QUIET_S'] ?? 10) * 1_000;
/** The deadlines, a heartbeat that is due twice, and a gateway with much to do. */
const GONE_MS = 60_000;
const KIB = 1_024;

const crowdProcess = fork(fileURLToPath(new URL('crowd-process.ts', import.meta.url)));
async function tell(told: Told): Promise<Said> {
  crowdProcess.send(told);
  const [said] = (await once(crowdProcess, 'message')) as [Said];
  return said;
}
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** How often it is looked whether all have gone, and, so that both are alike, while nobody is there. */
const LOOK_MS = 250;

type Seen = {
  readonly size: number;
  readonly ended: number;
  readonly heldBytes: number;
  readonly residentBytes: number;
  readonly outboxBytes: number;
  readonly goneS: number;
  readonly times: Times;
};

/** p99 of those who play, in milliseconds; 0: hardly anybody asked anything meanwhile. */
type Times = {
  readonly quietMs: number;
  readonly comingMs: number;
  /** From the last that came to the first that is late. */
  readonly standingMs: number;
  /** From then on until all have gone. */
  readonly endingMs: number;
};

async function see(gateway: Gateway, players: Players, kind: CrowdKind): Promise<Seen> {
  const [open = 0, proxied = 0] = gateway.ports.clients;
  const ports: CrowdPorts = { open, proxied };
  await tell({ tell: 'come', kind: KINDS.indexOf(kind), count: 20, ports, perSecond: PER_SECOND });
  await tell({ tell: 'leave' });
  const before = await gateway.inside('collect');
  const countBefore = (await gateway.metrics()).get(kind.ends) ?? 0;
  await players.take();
  for (let ms = 0; ms < QUIET_MS; ms += LOOK_MS) {
    await gateway.metrics();
    await rest(LOOK_MS);
  }
  const { p99Ms: quietMs } = await players.take();
  const came = await tell({
    tell: 'come',
    kind: KINDS.indexOf(kind),
    count: N,
    ports,
    perSecond: PER_SECOND,
  });
  const { size } = came;
  let { ended } = came;
  const { p99Ms: comingMs } = await players.take();
  const since = performance.now();
  const outboxBytes = (await gateway.metrics()).get('pith_outbox_bytes') ?? 0;
  const after = await gateway.inside('collect');
  // The collection is ours, and so is what waited for it.
  await rest(LOOK_MS);
  await players.take();
  const gone = async (): Promise<number> => {
    const metrics = await gateway.metrics();
    // The kernel may have taken all that is for one who reads nothing, and who is then only silent.
    if (kind.bytesMax === 0) return size - (metrics.get('pith_sessions')! - PLAYERS);
    return (metrics.get(kind.ends) ?? 0) - countBefore;
  };
  const isInTime = (): boolean => performance.now() - since < GONE_MS;
  while ((await gone()) === 0 && isInTime()) await rest(LOOK_MS);
  const { p99Ms: standingMs } = await players.take();
  while ((await gone()) < size && isInTime()) await rest(LOOK_MS);
  const goneS = (performance.now() - since) / 1_000;
  const { p99Ms: endingMs } = await players.take();
  await tell({ tell: 'listen' });
  while (ended < size && performance.now() - since < GONE_MS) {
    await rest(LOOK_MS);
    ({ ended } = await tell({ tell: 'look' }));
  }
  await tell({ tell: 'leave' });
  const heldBytes = after.heapBytes + after.externalBytes - before.heapBytes - before.externalBytes;
  const residentBytes = after.residentBytes - before.residentBytes;
  return {
    ...{ size, ended, heldBytes, residentBytes, outboxBytes, goneS },
    times: { quietMs, comingMs, standingMs, endingMs },
  };
}

/** The same crowd at the bare server, as long as it may be there. */
async function seeBare(bare: BareServer, players: Players, kind: CrowdKind): Promise<Times> {
  const { plain, secure } = await bare.ports;
  const port = kind.speaksTls ? secure : plain;
  await players.take();
  await rest(QUIET_MS);
  const { p99Ms: quietMs } = await players.take();
  const since = performance.now();
  await tell({
    ...{ tell: 'come', kind: KINDS.indexOf(kind), count: N },
    ports: { open: port, proxied: port },
    perSecond: PER_SECOND,
  });
  const cameMs = performance.now() - since;
  const { p99Ms: comingMs } = await players.take();
  await rest(Math.max(0, DEADLINE_MS - cameMs));
  const { p99Ms: standingMs } = await players.take();
  await rest(Math.min(cameMs, DEADLINE_MS) + LOOK_MS);
  const { p99Ms: endingMs } = await players.take();
  await tell({ tell: 'leave' });
  return { quietMs, comingMs, standingMs, endingMs };
}

function faultsOf(kind: CrowdKind, { size, ended, heldBytes, outboxBytes }: Seen): string[] {
  const outboxesBytes = OUTBOXES_MIB * KIB * KIB;
  const faults: string[] = [];
  if (kind.bytesMax > 0 && heldBytes / size > kind.bytesMax) faults.push('each holds too much');
  if (kind.bytesMax === 0 && heldBytes > outboxesBytes * 1.3)
    faults.push('all together hold too much');
  if (outboxBytes > outboxesBytes) faults.push('the outboxes pass their bound');
  if (ended < size) faults.push(`${size - ended} are still there`);
  return faults;
}

const ms = (value: number): string => (value === 0 ? '-' : value.toFixed(1)).padStart(9);
const kib = (bytes: number): string => (bytes / KIB).toFixed(1).padStart(9);

/** The worst of the phases; those that end at once have gone before the last of them has come. */
const worstOf = ({ comingMs, standingMs, endingMs }: Times): number =>
  Math.max(comingMs, standingMs, endingMs);

function timesOf(times: Times): string {
  const { quietMs, comingMs, standingMs, endingMs } = times;
  return [quietMs, comingMs, standingMs, endingMs, worstOf(times) / quietMs].map(ms).join('');
}

/** @param bare The same crowd at the bare server. */
function lineOf({ name }: CrowdKind, seen: Seen, bare: Times): string {
  const { size, heldBytes, residentBytes, outboxBytes, goneS, times } = seen;
  return [
    name.padEnd(36),
    String(size).padStart(6),
    ...[kib(heldBytes / size), kib(residentBytes / size), kib(outboxBytes / KIB)],
    `${goneS.toFixed(1).padStart(6)}${timesOf(times)} │${timesOf(bare)}${ms(worstOf(times) / worstOf(bare))}`,
  ].join(' ');
}

using secret = new SecretFolder(new Authority().issue('server'));
await using gateway = await Gateway.start(
  crowdConfig(secret, `${DEADLINE_MS}ms`, {
    ...{ outboxesMiB: OUTBOXES_MIB, count: N },
    acceptsPerSecond: PER_SECOND === 0 ? 1_000_000 : null,
  }),
);
const bare = new BareServer({ cert: secret.cert, key: secret.key, deadlineMs: DEADLINE_MS });
let failed = 0;
/** Only those who are measured play. */
async function withPlayers<T>(
  port: number,
  transports: readonly Transport[],
  fn: (players: Players) => Promise<T>,
): Promise<T> {
  const players = new Players();
  await players.join(port, PLAYERS, transports);
  const result = await fn(players);
  failed += (await players.take()).failed;
  await players.leave();
  return result;
}
const playersPort = (await bare.ports).players;
const phases = '   before   coming standing   ending  × before';
console.log(`p99 of ${PLAYERS} who ask once a second, in ms: before, while the crowd comes, while it stands, while it ends; × before: the worst of these, of that before (aim: at most 2)
The same at a bare server on Node, which holds the crowd and closes each when it is late; × bare: the worst here, of the worst there

${' '.repeat(36)}          KiB each           outbox   gone
${'kind'.padEnd(36)}  count      held  resident       MiB      s${phases} │${phases}   × bare`);
let isBad = false;
for (const kind of KINDS) {
  if (!ONLY.some((part) => kind.name.includes(part))) continue;
  const seen = await withPlayers(gateway.ports.clients[0]!, ['tcp', 'ws'], (players) =>
    see(gateway, players, kind),
  );
  const bareTimes = await withPlayers(playersPort, ['tcp'], (players) =>
    seeBare(bare, players, kind),
  );
  const faults = faultsOf(kind, seen);
  console.log([lineOf(kind, seen, bareTimes), ...faults].join('  '));
  isBad ||= faults.length > 0;
}
console.log(`${failed} requests of those who play were not answered`);
isBad ||= failed > 0;
bare.stop();
crowdProcess.disconnect();
process.exitCode = isBad ? 1 : 0;
