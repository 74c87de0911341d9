/**
 * Three instances of each kind of backend are replaced one by one under load: no player notices. Clients count what they
 * were answered, and instances what has come to them, and in which order.
 */
import type { Asked } from '../rollout/players.ts';
import { type Kind, KINDS, RolloutFleet } from '../rollout/fleet.ts';
import { Players } from '../rollout/players.ts';
import { type Program, PROGRAMS } from '../rollout/programs.ts';
import { cameTo, judged } from '../rollout/records.ts';
import { type Order, type Row, type Scenario, sum } from '../scenario.ts';

const PER_SECOND = 2_000;
const EXAMPLES_PER_SECOND = 500;
/** For how long they ask before and after. */
const CALM_MS = 2_000;

async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next()) {
    const kind = KINDS[(run - 1) % KINDS.length]!;
    yield* await rollOut([kind], { players: sessions, perSecond: PER_SECOND });
  }
}

type Load = {
  /** Of each kind. */
  readonly players: number;
  /** Of all kinds together. */
  readonly perSecond: number;
  /** Of which the instances are; absent: our own, which write down what comes. */
  readonly program?: Program | null;
};

/** Replaces the instances of these kinds, all kinds at the same time. A row for each. */
export async function rollOut(
  kinds: readonly Kind[],
  { players: count, perSecond, program = null }: Load,
): Promise<Row[]> {
  await using fleet = await RolloutFleet.start(kinds, program);
  await using players = new Players();
  const { port } = fleet.gateway;
  for (const kind of kinds) await players.join({ port, kind, count, asks: program });
  await players.ask(perSecond);
  const askedAt = performance.now();
  await calm();
  const beganAt = performance.now();
  await Promise.all(kinds.map((kind) => fleet.roll(kind)));
  const seconds = ((performance.now() - beganAt) / 1_000).toFixed(1);
  await calm();
  const asked = await players.end();
  const askedMs = performance.now() - askedAt;
  await fleet.finish();
  return kinds.map((kind) => {
    const came = judged(cameTo(fleet.records(kind)));
    const rate = Math.round((1_000 * asked[kind]!.sent) / askedMs);
    return rowOf(
      { backends: program?.name ?? kind, players: count, seconds, 'a second': rate },
      asked[kind]!,
      came,
    );
  });
}

function rowOf(
  head: Record<string, string | number>,
  { sent, once, twice, never, crossed, errors, disconnects }: Asked & { disconnects: number },
  came: { twice: number; disordered: number },
): Row {
  const failed = Object.values(errors).reduce((all, n) => all + n, 0);
  const cells = {
    ...head,
    ...{ sent, once, errors: failed, never, crossed, disconnects },
    // To clients, and to backends.
    ...{ again: twice, 'came twice': came.twice, disordered: came.disordered },
  };
  const faults: string[] = [];
  for (const [why, n] of Object.entries(errors)) faults.push(`${n} requests were answered ${why}`);
  if (never > 0) faults.push(`${never} requests were never answered`);
  if (crossed > 0) faults.push(`${crossed} answers were of another request`);
  if (disconnects > 0) faults.push(`${disconnects} players were disconnected`);
  if (twice > 0) faults.push(`${twice} requests were answered again`);
  if (came.twice > 0) faults.push(`${came.twice} requests came to backends twice`);
  if (came.disordered > 0) faults.push(`the order of requests was broken ${came.disordered} times`);
  const totals = { sent, once, refused: failed, never, again: twice, crossed, disconnects };
  return { cells, faults, totals };
}

function calm(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CALM_MS));
}

export const backendsRollout: Scenario = {
  name: 'backends-rollout',
  about:
    'three instances of each kind of backend are replaced one by one, at 2,000 requests a second: no player is disconnected or gets an error, and order is kept',
  ...{ sessions: 100, runs: KINDS.length, jobs: 1 },
  play,
  summary: (rows) =>
    `${sum(rows, 'sent')} requests, ${sum(rows, 'once')} answered once; ${sum(rows, 'errors')} errors, ${sum(rows, 'disconnects')} disconnects, ${sum(rows, 'disordered')} out of order`,
};

async function* playExamples({ sessions, next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next()) {
    const program = PROGRAMS[(run - 1) % PROGRAMS.length]!;
    if ((await program.prepare?.()) === false) continue;
    yield* await rollOut([program.kind], {
      players: sessions,
      perSecond: EXAMPLES_PER_SECOND,
      program,
    });
  }
}

export const examplesRollout: Scenario = {
  name: 'examples-rollout',
  about:
    'the same with each example, and with the backends that pith init writes: what they do at SIGTERM is enough',
  ...{ sessions: 40, runs: PROGRAMS.length, jobs: 1 },
  play: playExamples,
  summary: (rows) =>
    `${rows.length} programs, ${sum(rows, 'sent')} requests: ${sum(rows, 'errors')} errors, ${sum(rows, 'disconnects')} disconnects`,
};
