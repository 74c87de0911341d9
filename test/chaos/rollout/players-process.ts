/**
 * Players in a process of their own, half of them over WebSocket and half over TCP, who stay connected and ask: what
 * came of each request is counted here, and the gateway is asked for nothing.
 */
import { Client, reasonOf } from '../../border/client.ts';
import type { Question } from './records.ts';
import type { Asked, Join, Told } from './players.ts';

const TICK_MS = 10;
/** Longer than the gateway lets a request take: who has no answer by then gets none. */
const ANSWER_MS = 20_000;
/** So many of them ask several things at once, now and then. */
const BURSTS = 0.1;
const BURST = 3;

/** Who waits for so many answers asks nothing more: so a machine that is too slow for the load gets less of it. */
const OPEN_MAX = 4;

type Player = {
  open: number;
  readonly client: Client;
  readonly kind: string;
  readonly asks: Join['asks'];
  readonly number: number;
  asked: number;
};

const byKind = new Map<string, Player[]>();
const counts = new Map<string, Asked & { disconnects: number }>();
let players = 0;
let perSecond = 0;
let due = 0;
let tickedAt = performance.now();

async function join({ port, kind, count, asks }: Join): Promise<void> {
  const all: Player[] = [];
  counts.set(kind, {
    sent: 0,
    once: 0,
    never: 0,
    crossed: 0,
    errors: {},
    disconnects: 0,
    twice: 0,
  });
  for (let i = 0; i < count; i++) {
    const client = await Client.join(port, i % 2 === 0 ? 'ws' : 'tcp', 'pomelo');
    void client.ended.then(() => {
      counts.get(kind)!.disconnects++;
    });
    all.push({ client, kind, asks, number: ++players, asked: 0, open: 0 });
  }
  byKind.set(kind, all);
}

async function ask(player: Player): Promise<void> {
  const { client, kind, asks, number } = player;
  const question: Question = { client: number, number: ++player.asked };
  const count = counts.get(kind)!;
  count.sent++;
  player.open++;
  const outcome = await client.ask(
    asks?.route ?? `${kind}.rollout.ask`,
    asks?.body ?? JSON.stringify(question),
    ANSWER_MS,
  );
  player.open--;
  if (outcome.kind !== 'answer') {
    count.never++;
    return;
  }
  const reason = reasonOf(outcome.body);
  const answer = JSON.parse(outcome.body.toString()) as Question & { code?: number };
  if (asks !== null && (answer.code ?? 0) < 500) {
    // The program's own word, whatever it is.
    count.once++;
  } else if (answer.code !== undefined) {
    const why = `${answer.code} ${reason}`;
    count.errors[why] = (count.errors[why] ?? 0) + 1;
  } else if (answer.client !== question.client || answer.number !== question.number)
    count.crossed++;
  else count.once++;
}

function tick(): void {
  const now = performance.now();
  due += (perSecond * (now - tickedAt)) / 1_000;
  tickedAt = now;
  const kinds = [...byKind.values()];
  while (due >= 1) {
    const all = kinds[Math.floor(Math.random() * kinds.length)]!;
    const player = all[Math.floor(Math.random() * all.length)]!;
    for (let n = Math.random() < BURSTS ? BURST : 1; n > 0; n--) {
      due--;
      if (player.open < OPEN_MAX) void ask(player);
    }
  }
}
setInterval(tick, TICK_MS);

/** They ask no more, and what is under way has its time. */
async function end(): Promise<Record<string, Asked & { disconnects: number }>> {
  perSecond = 0;
  due = 0;
  const isOver = (): boolean =>
    [...counts.values()].every(
      ({ sent, once, never, crossed, errors }) =>
        sent === once + never + crossed + Object.values(errors).reduce((sum, n) => sum + n, 0),
    );
  while (!isOver()) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  for (const [kind, all] of byKind)
    counts.get(kind)!.twice = all.reduce((sum, { client }) => sum + client.strays, 0);
  return Object.fromEntries(counts);
}

process.on('message', (told: Told) => {
  const answer = async (): Promise<unknown> => {
    if (told.tell === 'join') return join(told);
    if (told.tell === 'ask') perSecond = told.perSecond;
    else return end();
    return null;
  };
  void answer().then((said) => process.send!(said ?? null));
});
process.on('disconnect', () => process.exit(0));
