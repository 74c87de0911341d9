/**
 * `make soak` (T=300 RATE=80 STAY=200): a gateway under a steady load for T seconds, while clients come and go; what it
 * holds at the start, in the middle and at the end, each time when only those are there who stay. Fails when that
 * is not flat, or when anything was answered wrongly.
 */
import { Gateway } from '../border/gateway.ts';
import { startNats } from '../support/nats.ts';
import { freePort } from '../support/process.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { onLink, onNats } from './backends.ts';
import { Crowd, type Done } from './crowd.ts';
import { growth, GROWTH_BYTES, LATE_GROWTH_BYTES, type Sample, sample } from './samples.ts';

const MIB = 2 ** 20;
/** Of the whole time, at least: what is only made once is there by then. */
const WARM_PART = 0.2;
const WARM_S_MAX = 60;

const { env } = process;
const seconds = Number(env['T'] || 300);
const perSecond = Number(env['RATE'] || 80);
const stay = Number(env['STAY'] || 200);

async function main(): Promise<number> {
  const monitor = await freePort();
  await using nats = await startNats(`http: 127.0.0.1:${monitor}`);
  onNats(await nats.connect());
  const link = await onLink();
  using _link = { [Symbol.dispose]: () => link.close() };
  await using gateway = await Gateway.start(configOf(nats.url, link.at));
  await using crowd = new Crowd();
  const warm = Math.min(WARM_S_MAX, seconds * WARM_PART);
  const half = (seconds - warm) / 2;
  console.log(
    `soak: ${seconds} s, ${stay} clients stay, ${perSecond} a second come and go; the first ${warm.toFixed(0)} s are not counted`,
  );
  await crowd.tell({ tell: 'stay', count: stay, ports: gateway.ports.clients });
  const samples: Sample[] = [];
  let done: Done | null = null;
  for (const [at, time] of [
    ['start', warm],
    ['middle', half],
    ['end', half],
  ] as const) {
    done = await load(crowd, time);
    const now = await sample(gateway, monitor, at, stay);
    samples.push(now);
    if (samples.length === 1) console.log(HEAD);
    console.log(lineOf(now, done));
  }
  const [start, middle, end] = samples as [Sample, Sample, Sample];
  const faults = [...growth(start, middle, end), ...done!.faults];
  if (done!.lost > 0) faults.push(`${done!.lost} of those who stay have lost their connection`);
  if (done!.answered < done!.asked)
    faults.push(`${done!.asked - done!.answered} requests were not answered as they should be`);
  if (end.sessions !== stay) faults.push(`${end.sessions} sessions, and ${stay} clients`);
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  console.log(
    `flat is: as many subscriptions, sessions and groups at the end as at the start, at most 3 more descriptors, handles and timers, ${GROWTH_BYTES / MIB} MiB more heap, ${LATE_GROWTH_BYTES / MIB} of them since the middle`,
  );
  console.log(faults.length === 0 ? 'soak: passed' : `soak: ${faults.length} faults`);
  return faults.length === 0 ? 0 : 1;
}

async function load(crowd: Crowd, time: number): Promise<Done> {
  await crowd.tell({ tell: 'live', perSecond });
  await new Promise((resolve) => setTimeout(resolve, time * 1_000));
  return crowd.tell({ tell: 'live', perSecond: 0 });
}

function configOf(bus: string, link: string): string {
  return `
listen: [{ url: "ws://127.0.0.1:0" }, { url: "tcp://127.0.0.1:0" }]
bus: ${bus}
auth: { sessions_per_uid: kick_old }
backends:
  nats: { nats: {} }
  link: { grpc: "${link}" }
routes:
  - { match: "nats.>", backend: nats }
  - { match: "link.>", backend: link }
`;
}

const COLUMNS = [
  ['at', ({ at }: Sample) => at],
  ['lives', (_: Sample, { lives }: Done) => String(lives)],
  ['requests', (_: Sample, { answered }: Done) => String(answered)],
  ['pushes', (_: Sample, { pushes }: Done) => String(pushes)],
  ['heap MiB', ({ heapBytes }: Sample) => (heapBytes / MIB).toFixed(2)],
  ['resident MiB', ({ residentBytes }: Sample) => (residentBytes / MIB).toFixed(0)],
  ['descriptors', ({ descriptors }: Sample) => String(descriptors)],
  ['handles', ({ handles }: Sample) => String(handles)],
  ['timers', ({ timers }: Sample) => String(timers)],
  ['subscriptions', ({ subscriptions }: Sample) => String(subscriptions)],
  ['sessions', ({ sessions }: Sample) => String(sessions)],
  ['groups', ({ groups }: Sample) => String(groups)],
] as const;
const HEAD = COLUMNS.map(([head]) => head.padStart(Math.max(head.length, 7))).join('  ');

function lineOf(one: Sample, done: Done): string {
  return COLUMNS.map(([head, cell]) => cell(one, done).padStart(Math.max(head.length, 7))).join(
    '  ',
  );
}

putToolsOnPath();
process.exit(await main());
