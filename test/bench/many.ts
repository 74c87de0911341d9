/**
 * What 15,000 clients on one gateway cost its event loop: pushes to many of them, and their subscriptions, made, lost
 * with NATS, and dropped. `make bench-many`; N=15000 is how many.
 *
 * A turn is measured by the CPU time that it took (see `../border/inside.ts`), so that the machine's other load counts
 * for little; throughput is receivers a second of the gateway's CPU.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { headers as natsHeaders, type NatsConnection } from 'nats';

import { Gateway } from '../border/gateway.ts';
import { startNats } from '../support/nats.ts';
import { putToolsOnPath } from '../tools/path.ts';
import type { CrowdCount, CrowdOrder } from './crowd.ts';

const CLIENTS = Number(process.env['N'] ?? 15_000);
/** In the large group. */
const MEMBERS = Math.min(10_000, CLIENTS);
const BODY = Buffer.from(
  '{"from":"bench","text":"a push of a usual size, such as a line of a chat"}',
);
/** When nothing has come for so long, nothing more is waited for. */
const QUIET_MS = 4_000;
/** Requests to the gateway that are on their way at a time. */
const BURST = 500;
/** Connections that are being made at a time: at first, and when all come back. The kernel queues 4,096 at most. */
const CONNECTING = 100;
const CONNECTING_AT_ONCE = 3_000;
/** What throughput may fall to from one group to all of them. */
const RATIO_MIN = 0.8;

const CONFIG = (nats: string): string => `
listen: [{ url: "tcp://127.0.0.1:0" }]
bus: ${nats}
heartbeat: 0s
limits: { connections: 16500, messages_per_second: 1000000, burst: 1000000 }
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "area.>", backend: echo }]
log: { level: info }
drain: { budget: 2s, per_second: 100000 }
reload: { watch: false }
`;
/** Ways in which the route table differs, each a reload. */
const RELOADS = 10;

class Crowd implements Disposable {
  readonly #child = fork(new URL('crowd.ts', import.meta.url)).on('exit', (code) => {
    if (code !== 0) throw new Error('the crowd has ended');
  });

  async ask(order: CrowdOrder): Promise<CrowdCount> {
    this.#child.send(order);
    const [count] = (await once(this.#child, 'message')) as [CrowdCount];
    return count;
  }

  [Symbol.dispose](): void {
    this.#child.disconnect();
  }
}

/** Nanoseconds on a core, of all threads. */
async function cpuNs(pid: number): Promise<number> {
  let total = 0;
  for (const task of await readdir(`/proc/${pid}/task`))
    total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return total;
}

class Bench {
  readonly gateway: Gateway;
  readonly crowd: Crowd;
  readonly nc: NatsConnection;
  /** Its URL. */
  readonly nats: string;

  constructor(gateway: Gateway, crowd: Crowd, nc: NatsConnection, nats: string) {
    this.nats = nats;
    this.gateway = gateway;
    this.crowd = crowd;
    this.nc = nc;
  }

  /**
   * Runs `work` until `packets` more packets have come, and prints what it cost.
   *
   * @returns Packets for each millisecond of the gateway's CPU.
   */
  async row(name: string, packets: number, work: () => Promise<void> | void): Promise<number> {
    const { crowd, gateway } = this;
    const before = await crowd.ask({ do: 'count' });
    await gateway.inside();
    const cpu = await cpuNs(gateway.pid);
    const begun = performance.now();
    await work();
    let count = before;
    let last = performance.now();
    // Until all have come, or nothing has for a while.
    while (count.packets - before.packets < packets && performance.now() - last < QUIET_MS) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const now = await crowd.ask({ do: 'count' });
      if (now.packets > count.packets) last = performance.now();
      count = now;
    }
    const ms = performance.now() - begun;
    const { turnCpuMs, turnMs, gcMs } = await gateway.inside();
    const used = (await cpuNs(gateway.pid)) - cpu;
    const got = count.packets - before.packets;
    print(name, [
      got,
      turnCpuMs.toFixed(1),
      turnMs.toFixed(1),
      gcMs.toFixed(1),
      ms.toFixed(0),
      got === 0 ? '' : ((got / used) * 1e6).toFixed(0),
    ]);
    if (got !== packets) console.log(`  ${packets} were due`);
    return (got / used) * 1e6;
  }

  push(subject: string, headers: Readonly<Record<string, string>> = {}): void {
    const h = natsHeaders();
    h.set('Pith-Route', 'onChat');
    for (const [name, value] of Object.entries(headers)) h.set(name, value);
    this.nc.publish(subject, BODY, { headers: h });
  }

  /** Asks many things, not too many at a time; the clients are 1 to `count`. */
  async each(count: number, ask: (n: number) => Promise<unknown>, atOnce = BURST): Promise<void> {
    for (let n = 1; n <= count; n += atOnce) {
      const size = Math.min(atOnce, count - n + 1);
      await Promise.all(Array.from({ length: size }, (_, i) => ask(n + i)));
    }
  }

  async connect(atOnce: number): Promise<void> {
    const port = this.gateway.ports.clients[0]!;
    await this.crowd.ask({ do: 'connect', port, count: CLIENTS, atOnce });
  }

  /** A verb for one session. */
  verb(n: number, verb: string, body: object): Promise<unknown> {
    const subject = `pith.session.${this.gateway.id}.${n}.${verb}`;
    return this.nc.request(subject, JSON.stringify(body), { timeout: 60_000 });
  }

  async control(method: string, request: object): Promise<Record<string, unknown>> {
    const reply = await this.nc.request(`pith.control.${method}`, JSON.stringify(request), {
      timeout: 60_000,
    });
    return reply.json();
  }
}

/** All; a hundredth of all; alone; and ten groups of ten. */
function groupsOf(n: number): string[] {
  const tens = Array.from({ length: 10 }, (_, i) => `ten${(n + i) % MEMBERS}`);
  return ['one', `hundred${n % 100}`, `own${n}`, ...tens];
}

function print(name: string, cells: readonly (string | number)[]): void {
  console.log(name.padEnd(44) + cells.map((cell) => String(cell).padStart(12)).join(''));
}

async function main(): Promise<void> {
  await using nats = await startNats('max_payload: 8MB\nhttp: "127.0.0.1:0"\n');
  await using gateway = await Gateway.start(CONFIG(nats.url));
  using crowd = new Crowd();
  const nc = await nats.connect({ maxReconnectAttempts: -1, reconnectTimeWait: 20 });
  const bench = new Bench(gateway, crowd, nc, nats.url);
  console.log(`${CLIENTS} clients; a turn by its CPU and by the clock, in milliseconds`);
  print('', ['packets', 'turn CPU', 'turn', 'of it gc', 'all ms', 'per CPU ms']);
  await bench.row('connect', 0, async () => {
    await bench.connect(CONNECTING);
  });
  await bench.row('bind a uid each', 0, () =>
    bench.each(CLIENTS, (n) => bench.verb(n, 'bind', { uid: `u${n}` })),
  );
  await bench.row('join thirteen groups each', 0, () =>
    bench.each(MEMBERS, (n) => bench.verb(n, 'join', { groups: groupsOf(n) })),
  );
  await bench.row('set data', 0, () =>
    bench.each(MEMBERS, (n) =>
      bench.verb(n, 'set', { set: { team: n % 2 === 0 ? 'red' : 'blue', level: n } }),
    ),
  );
  await pushes(bench);
  await throughput(bench);
  await questions(bench);
  await subscriptions(bench, nats);
  await floods(bench);
}

async function pushes(bench: Bench): Promise<void> {
  const repeat = async (work: () => void): Promise<void> => {
    work();
    await bench.nc.flush();
  };
  for (const round of ['first', 'again'])
    await bench.row(`push to a group of ${MEMBERS}, ${round}`, MEMBERS, () =>
      repeat(() => {
        bench.push('pith.group.one.push');
      }),
    );
  await bench.row('push to all', CLIENTS, () =>
    repeat(() => {
      bench.push('pith.all.push');
    }),
  );
  await bench.row('push to a group, half by where', MEMBERS / 2, () =>
    repeat(() => {
      bench.push('pith.group.one.push', { 'Pith-Where': '{"team":"red"}' });
    }),
  );
  const names = Array.from({ length: MEMBERS }, (_, i) => `u${i + 1}`);
  await bench.row('push to a group, half by except', MEMBERS / 2, () =>
    repeat(() => {
      bench.push('pith.group.one.push', {
        'Pith-Except-Uids': JSON.stringify(names.slice(0, MEMBERS / 2)),
      });
    }),
  );
  const groups = [
    'one',
    ...Array.from({ length: 100 }, (_, i) => `hundred${i}`),
    ...Array.from({ length: MEMBERS }, (_, i) => `own${i + 1}`),
  ];
  await bench.row('Control.Push, union of 10,101 groups', MEMBERS, async () => {
    const answer = await bench.control('Push', {
      push: {
        route: 'onChat',
        body: { json: JSON.parse(BODY.toString()) as object },
        target: { groups, uids: names },
      },
    });
    if (answer['delivered'] !== MEMBERS)
      console.log(`  answered ${JSON.stringify(answer).slice(0, 200)}`);
  });
  await bench.row('ten pushes to the group at once', MEMBERS * 10, () =>
    repeat(() => {
      for (let i = 0; i < 10; i++) bench.push('pith.group.one.push');
    }),
  );
}

/** The same number of pushes to groups of ten, however many groups there are; and many to whole groups at once. */
async function throughput(bench: Bench): Promise<void> {
  const pushes = 4_000;
  const rates: number[] = [];
  for (const groups of [1, 100, MEMBERS]) {
    const rate = await bench.row(
      `${pushes} pushes, each to one of ${groups} groups of ten`,
      pushes * 10,
      async () => {
        for (let i = 0; i < pushes; i++) {
          bench.push(`pith.group.ten${i % groups}.push`);
          // Paced: what comes together is written together, which is cheaper the fewer clients there are.
          if (i % 4 === 3) {
            await bench.nc.flush();
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
        }
      },
    );
    rates.push(rate);
  }
  const ratio = rates.at(-1)! / rates[0]!;
  console.log(
    `  throughput with ${MEMBERS} groups, as a part of that with one: ${ratio.toFixed(2)}; ≥ ${RATIO_MIN} ${ratio >= RATIO_MIN ? 'met' : 'missed'}`,
  );
  const times = 20;
  for (const [groups, name] of [
    [1, 'one'],
    [100, 'hundred'],
    [MEMBERS, 'own'],
  ] as const)
    await bench.row(
      `${times} pushes to ${MEMBERS} members in ${groups} groups`,
      MEMBERS * times,
      async () => {
        for (let i = 0; i < times; i++) {
          for (let g = 0; g < groups; g++) {
            const member = groups === 1 ? '' : String(groups === 100 ? g : g + 1);
            bench.push(`pith.group.${name}${member}.push`);
          }
          await bench.nc.flush();
        }
      },
    );
}

async function subscriptions(
  bench: Bench,
  nats: Awaited<ReturnType<typeof startNats>>,
): Promise<void> {
  const { crowd, gateway, nc } = bench;
  await crowd.ask({ do: 'request', everyMs: 5 });
  // Once requests go on; the counts begin with the next question.
  while ((await crowd.ask({ do: 'count' })).answers === 0);
  await gateway.inside();
  await nats.kill();
  const lost = await gateway.inside();
  const restarted = nats.restart();
  await restarted;
  const begun = performance.now();
  // The last that was subscribed is the last that is subscribed again.
  for (;;) {
    if (performance.now() - begun > 30_000) throw new Error('not back in 30 s');
    try {
      await nc.request(`pith.user.u${CLIENTS}.get`, '', { timeout: 500 });
      await nc.request(`pith.group.own${MEMBERS}.get`, '', { timeout: 500 });
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  const ms = performance.now() - begun;
  const back = await gateway.inside();
  const { answers, slowestAnswerMs } = await crowd.ask({ do: 'count' });
  print('NATS is killed', ['', lost.turnCpuMs.toFixed(1), lost.turnMs.toFixed(1)]);
  print('NATS is back', ['', back.turnCpuMs.toFixed(1), back.turnMs.toFixed(1), ms.toFixed(0)]);
  console.log(
    `  meanwhile ${answers} requests were answered, the slowest in ${slowestAnswerMs.toFixed(0)} ms`,
  );
  const kept = Array.from({ length: 100 }, (_, i) => `u${i + 1}`);
  await bench.row('kick all of the group', 0, async () => {
    const answer = await bench.control('Kick', {
      target: { groups: ['one'], except_uids: kept },
      close: { reason: 'bench' },
    });
    if (answer['closed'] !== MEMBERS - kept.length)
      console.log(`  answered ${JSON.stringify(answer).slice(0, 200)}`);
  });
  await bench.row('the other clients go', 0, async () => {
    await crowd.ask({ do: 'close' });
    await gone(gateway);
  });
}

/** What asks about many sessions, and what pushes to many one by one. */
async function questions(bench: Bench): Promise<void> {
  const names = Array.from({ length: CLIENTS }, (_, i) => `u${i + 1}`);
  await bench.row('GetPresence of 1000 uids, ten times', 0, async () => {
    for (let i = 0; i < 10; i++)
      await bench.control('GetPresence', { uids: names.slice(0, 1_000) });
  });
  await bench.row('ListSessions, ten pages of 1000', 0, async () => {
    let token = '';
    for (let i = 0; i < 10; i++) {
      const page = await bench.control('ListSessions', { limit: 1_000, page_token: token });
      token = page['next_page_token'] as string;
    }
  });
  await bench.row('ListGroups, ten pages of 1000', 0, async () => {
    let token = '';
    for (let i = 0; i < 10; i++) {
      const page = await bench.control('ListGroups', { limit: 1_000, page_token: token });
      token = page['next_page_token'] as string;
    }
  });
  await bench.row('PushMany to 1000 uids', 1_000, async () => {
    const line = (uid: string): string =>
      JSON.stringify({ push: { route: 'onChat', body: { text: '1' }, target: { uids: [uid] } } });
    const response = await fetch(`http://127.0.0.1:${bench.gateway.ports.admin}/v1/PushMany`, {
      method: 'POST',
      body: names.slice(0, 1_000).map(line).join('\n'),
    });
    if (!response.ok) console.log(`  answered ${await response.text()}`);
  });
  let slowestMs = 0;
  await bench.row(`${RELOADS} reloads, each with another route`, 0, async () => {
    for (let n = 1; n <= RELOADS; n++) {
      const { gateway, nats } = bench;
      gateway.rewrite(
        CONFIG(nats).replace('routes: [', `routes: [{ match: "n${n}", backend: echo }, `),
      );
      const begun = performance.now();
      const response = await fetch(`http://127.0.0.1:${gateway.ports.admin}/v1/Reload`, {
        method: 'POST',
        body: '{}',
      });
      slowestMs = Math.max(slowestMs, performance.now() - begun);
      const { changed } = (await response.json()) as { changed: readonly string[] };
      if (changed.length === 0) throw new Error('nothing was reloaded');
    }
  });
  console.log(`  the slowest answered in ${slowestMs.toFixed(0)} ms`);
  await bench.row('fifty pushes to all at once', CLIENTS * 50, async () => {
    for (let i = 0; i < 50; i++) bench.push('pith.all.push');
    await bench.nc.flush();
  });
}

/** All clients come, say who they are, and go, at once. The sessions before are gone. */
async function floods(bench: Bench): Promise<void> {
  const { crowd, gateway } = bench;
  await bench.row('all come back at once', 0, () => bench.connect(CONNECTING_AT_ONCE));
  await bench.row('all bind and join at once', 0, () =>
    bench.each(
      CLIENTS,
      (n) => bench.verb(CLIENTS + n, 'patch', { uid: `u${n}`, join: groupsOf(n) }),
      CLIENTS,
    ),
  );
  await bench.row('all go at once', 0, async () => {
    await crowd.ask({ do: 'close' });
    await gone(gateway);
  });
}

async function gone(gateway: Gateway): Promise<void> {
  while (!/^pith_sessions(\{[^}]*\})? 0$/m.test(await gateway.get('/metrics')))
    await new Promise((resolve) => setTimeout(resolve, 50));
}

putToolsOnPath();
await main();
process.exit(0);
