/** Runs the comparisons on so many messages, in batches with seeds of their own, so that one can be had again. */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { comparePackets, newCounts as newPacketCounts } from './packets.ts';
import { compareProtobufs, newCounts as newProtobufCounts } from './protobuf.ts';
import { Random } from './random.ts';

/** Messages of one batch: what is made for them, as a definition, is made once. */
const BATCH = 20;
/** Batches between two turns of the event loop, by which the worker says that it lives. */
const BATCHES_PER_TURN = 50;
/** From so many messages on every kind of case must have come. */
const ENOUGH = 2000;

/** @returns The kinds of cases that did not come, of which there must be none. */
export async function fuzzProtobuf(messages: number): Promise<string[]> {
  const counts = newProtobufCounts();
  return runBatches(messages, counts, (random) => {
    const dialect = random.oneIn(2) ? 'pinus' : 'pomelo';
    compareProtobufs(random, dialect, BATCH, counts);
  });
}

/** See `fuzzProtobuf`. */
export async function fuzzPackets(messages: number): Promise<string[]> {
  const counts = newPacketCounts();
  return runBatches(messages, counts, (random) => {
    comparePackets(random, BATCH, counts);
  });
}

/**
 * @param otherwise At least so many messages, if TEST_FUZZ_MESSAGES does not say how many.
 * @throws {Error} What went wrong first, with the seed that begins with its batch.
 */
async function runBatches(
  otherwise: number,
  counts: Readonly<Record<string, number>>,
  batch: (random: Random) => void,
): Promise<string[]> {
  const messages = fromEnvironment('TEST_FUZZ_MESSAGES') ?? otherwise;
  const seed = fromEnvironment('TEST_SEED') ?? Math.floor(Math.random() * 2 ** 30);
  const batches = Math.ceil(messages / BATCH);
  for (let i = 0; i < batches; i++) {
    if (i % BATCHES_PER_TURN === 0) await nextTurn();
    try {
      batch(new Random(seed + i));
    } catch (error) {
      const again = `TEST_SEED=${seed + i} has it again at once`;
      throw new Error(`${(error as Error).message}\n${again}`, { cause: error });
    }
  }
  if (messages < ENOUGH) return [];
  return Object.keys(counts).filter((kind) => counts[kind]! < messages / 100);
}

function fromEnvironment(name: string): number | undefined {
  const given = process.env[name] ?? '';
  if (given === '') return undefined;
  const number = Number(given);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new Error(`${name}=${given}: expected a whole number, not negative`);
}
