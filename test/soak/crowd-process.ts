/**
 * Those who stay, and those who come and go, in a process of their own. Who comes connects, is bound, joins a group,
 * asks, has the group pushed to, leaves it, and goes; over WebSocket or TCP, by a backend on NATS or on a Link.
 */
import { Client } from '../border/client.ts';
import type { Done, Told } from './crowd.ts';

const ANSWER_MS = 20_000;
const GROUPS = 20;
const ASKS = 5;
const PAUSE_MS = 200;
const TRANSPORTS = ['ws', 'tcp'] as const;
const BACKENDS = ['nats', 'link'] as const;

const staying: Client[] = [];
const living = new Set<Promise<void>>();
const done = { lives: 0, asked: 0, answered: 0, pushes: 0, faults: [] as string[] };
let ports: readonly number[] = [];
let perSecond = 0;
let due = 0;
let tickedAt = performance.now();
let last = 0;

/** The n-th client of all. */
async function join(n: number): Promise<Client> {
  const transport = TRANSPORTS[n % 2]!;
  return Client.join(ports[n % 2]!, transport, 'pomelo');
}

async function ask(client: Client, backend: string, body: object): Promise<void> {
  done.asked++;
  const outcome = await client.ask(`${backend}.soak.do`, JSON.stringify(body), ANSWER_MS);
  if (outcome.kind === 'answer' && outcome.body.toString() === '{"ok":1}') done.answered++;
  else if (done.faults.length < 20)
    done.faults.push(
      `${backend} ${JSON.stringify(body)}: ${outcome.kind === 'answer' ? outcome.body.toString() : outcome.kind}`,
    );
}

async function live(n: number): Promise<void> {
  const client = await join(n);
  const backend = BACKENDS[(n >> 1) % 2]!;
  const group = `room.${n % GROUPS}`;
  await ask(client, backend, { bind: `player.${n}` });
  await ask(client, backend, { join: [group] });
  for (let i = 0; i < ASKS; i++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    await ask(client, backend, i === 2 ? { push: group } : { echo: i });
  }
  await ask(client, backend, { leave: [group] });
  if (n % 3 === 0) await ask(client, backend, { bind: '' });
  done.pushes += client.pushes;
  done.lives++;
  await client.close();
}

setInterval(() => {
  const now = performance.now();
  due += (perSecond * (now - tickedAt)) / 1_000;
  tickedAt = now;
  for (; due >= 1; due--) {
    const life = live(++last).finally(() => living.delete(life));
    living.add(life);
  }
}, 20);

async function answer(told: Told): Promise<Done> {
  if (told.tell === 'stay') {
    ({ ports } = told);
    for (let i = 0; i < told.count; i++) {
      const client = await join(i);
      await ask(client, BACKENDS[(i >> 1) % 2]!, {
        bind: `stays.${i}`,
        join: [`base.${i % GROUPS}`],
      });
      staying.push(client);
    }
  } else if (told.tell === 'live') {
    ({ perSecond } = told);
    due = 0;
    if (perSecond === 0) await Promise.all(living);
  }
  const lost = staying.filter(({ isOpen }) => !isOpen).length;
  return { ...done, lost };
}

process.on('message', (told: Told) => {
  void answer(told).then((said) => process.send!(said));
});
process.on('disconnect', () => process.exit(0));
