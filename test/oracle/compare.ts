/** The script played on the two originals and on Pith, and what the table says of the differences. */
import { type Difference, DIFFERENCES, ENDS } from './differences.ts';
import { play, type Transcript } from './play.ts';
import * as codecs from './script-codecs.ts';
import * as crypto from './script-crypto.ts';
import * as messages from './script-messages.ts';
import * as opening from './script-opening.ts';
import { type OriginalName, ORIGINALS, type Server, startOriginal, startPith } from './servers.ts';
import { HANDSHAKE, type Step, type Versions } from './step.ts';
import { type Transport, Wire } from './wire.ts';
import { WORLDS, type WorldName } from './worlds.ts';

export const SCRIPT: readonly Step[] = [opening, messages, codecs, crypto].flatMap((part) =>
  Object.values(part).flat(),
);

/** Worlds that are played at once: while one waits for a timeout, another gets on. */
const WORLDS_AT_ONCE = 2;
/** Steps of one world and original, likewise. */
const STEPS_AT_ONCE = 8;

export type Comparison = {
  readonly original: OriginalName;
  readonly step: Step;
  readonly transport: Transport;
  readonly theirs: Transcript;
  readonly ours: Transcript;
};

/** same · intended: the table says so, with why · different: nothing says so, and that is a failure. */
export type Verdict =
  | { readonly kind: 'same' | 'different' }
  | { readonly kind: 'intended'; readonly why: string; readonly row: Difference | null };

/** Plays the whole script; the comparisons come in its order, the originals' one after the other. */
export async function compareAll(
  originals: readonly OriginalName[] = ORIGINALS,
): Promise<Comparison[]> {
  const worlds = Object.keys(WORLDS) as WorldName[];
  const found = await inTurns(worlds, WORLDS_AT_ONCE, (world) => playWorld(world, originals));
  const all = found.flat();
  return originals.flatMap((name) => all.filter(({ original }) => original === name));
}

async function playWorld(
  world: WorldName,
  originals: readonly OriginalName[],
): Promise<Comparison[]> {
  await using servers = new AsyncDisposableStack();
  const starting = [startPith(world), ...originals.map((name) => startOriginal(name, world))];
  // All of them, so that those which started are stopped when one did not.
  for (const start of await Promise.allSettled(starting))
    if (start.status === 'fulfilled') servers.use(start.value);
  const [pith, ...theirs] = await Promise.all(starting);
  const found = originals.map((name, i) => playSteps(world, name, theirs[i]!, pith!));
  return (await Promise.all(found)).flat();
}

async function playSteps(
  world: WorldName,
  original: OriginalName,
  theirServer: Server,
  pith: Server,
): Promise<Comparison[]> {
  const kept = await learnVersions(theirServer.port);
  const lines = SCRIPT.filter((step) => step.world === world).flatMap((step) =>
    step.transports.map((transport) => ({ step, transport })),
  );
  return inTurns(lines, STEPS_AT_ONCE, async ({ step, transport }) => {
    const [theirs, ours] = await Promise.all([
      play(step, transport, theirServer, kept),
      play(step, transport, pith, kept),
    ]);
    return { original, step, transport, theirs, ours };
  });
}

/** Does the work for each item, for so many at once; the results are in the order of the items. */
async function inTurns<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const goOn = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]!);
  };
  await Promise.all(Array.from({ length: atOnce }, goOn));
  return results;
}

type HandshakeAnswer = { sys?: { dictVersion?: string; protos?: { version?: string } } };

/** The versions that a client of this server would keep; one that it does not tell is "none". */
async function learnVersions(port: number): Promise<Versions> {
  await using wire = await Wire.open(port, 'ws');
  wire.send([HANDSHAKE]);
  const event = await wire.next();
  if (event?.kind !== 'frame') throw new Error(`no handshake from port ${port}`);
  const { sys } = JSON.parse(event.bytes.toString('utf8', 4)) as HandshakeAnswer;
  return { dict: sys?.dictVersion ?? 'none', proto: sys?.protos?.version ?? 'none' };
}

/** What each says after the lines that are the same. */
export function tails({ theirs, ours }: Comparison): { theirs: Transcript; ours: Transcript } {
  let same = 0;
  while (same < theirs.length && theirs[same] === ours[same]) same++;
  return { theirs: theirs.slice(same), ours: ours.slice(same) };
}

export function judge(comparison: Comparison, table: readonly Difference[] = DIFFERENCES): Verdict {
  const { theirs, ours } = tails(comparison);
  // What was awaited did not come: no two of these are the same.
  if ([...comparison.theirs, ...comparison.ours].some((line) => line.startsWith('NOTHING')))
    return { kind: 'different' };
  if (theirs.length === 0 && ours.length === 0) return { kind: 'same' };
  const end = theirs.at(-1) === 'END' ? ENDS[ours.at(-1) ?? ''] : undefined;
  if (end !== undefined && theirs.length === 1 && ours.length === 1)
    return { kind: 'intended', why: end, row: null };
  const row = table.find(
    (one) =>
      one.steps.includes(comparison.step.name) &&
      (one.original === undefined || one.original === comparison.original) &&
      isEqual(one.theirs ?? theirs, theirs) &&
      isEqual(typeof one.ours === 'function' ? one.ours(theirs) : one.ours, ours),
  );
  return row === undefined ? { kind: 'different' } : { kind: 'intended', why: row.why, row };
}

function isEqual(a: Transcript, b: Transcript): boolean {
  return a.length === b.length && a.every((line, i) => line === b[i]);
}

/**
 * What the table says and is not so: a row with a step, or an original, that has no such difference. The table has
 * to tell the truth.
 */
export function staleRows(
  comparisons: readonly Comparison[],
  table: readonly Difference[] = DIFFERENCES,
): string[] {
  const seen = new Set<string>();
  for (const one of comparisons) {
    const verdict = judge(one, table);
    if (verdict.kind !== 'intended') continue;
    if (verdict.row === null) seen.add(one.ours.at(-1)!);
    else seen.add(`${table.indexOf(verdict.row)} ${one.original} ${one.step.name}`);
  }
  const originals = [...new Set(comparisons.map(({ original }) => original))];
  const rows = table.flatMap((row, i) =>
    row.steps.flatMap((step) =>
      originals
        .filter((name) => row.original === undefined || row.original === name)
        .filter((name) => !seen.has(`${i} ${name} ${step}`))
        .map((name) => `${name}: ${step}: ${row.why}`),
    ),
  );
  return [...rows, ...Object.keys(ENDS).filter((line) => !seen.has(line))];
}
