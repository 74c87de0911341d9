/**
 * Our protobuf beside the published codecs, on definitions and messages by chance: what one writes the others read
 * alike. `known.ts` says where the reference gets it wrong and ours does not follow.
 */
import { Protos } from '../../../../src/protocol/protobuf/protos.ts';
import type { StringForm } from '../../../../src/protocol/text.ts';
import { difference } from './difference.ts';
import { mutated } from './mutation.ts';
import type { Random } from './random.ts';
import { type Dialect, type MessageSpec, RandomProtos, ROUTE, withMaps } from './random-protos.ts';
import {
  parsePinus,
  parsePomelo,
  pinusCodec,
  type ProtobufCodec,
  pomeloCodecs,
} from './references.ts';

/** How much of what was compared, for a test to see that all of it was. */
export type Counts = {
  messages: number;
  withRoom: number;
  fromBrowser: number;
  empty: number;
  refused: number;
  mutated: number;
  mutatedAndRead: number;
  joined: number;
};

export function newCounts(): Counts {
  return {
    messages: 0,
    withRoom: 0,
    fromBrowser: 0,
    empty: 0,
    refused: 0,
    mutated: 0,
    mutatedAndRead: 0,
    joined: 0,
  };
}

const PAIR = /\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]/;
const MUTATIONS = 2;

/** One definition and `count` messages of it. Throws with all that is needed to look at what went wrong. */
export function compareProtobufs(
  random: Random,
  dialect: Dialect,
  count: number,
  counts: Counts,
): void {
  const made = new RandomProtos(random, dialect);
  const session = new Comparison(random, dialect, made, counts);
  for (let i = 0; i < count; i++) {
    const withRoom = dialect === 'pomelo' && !random.oneIn(5);
    const message = made.message(withRoom);
    try {
      session.compare(message, withRoom);
    } catch (error) {
      const what = JSON.stringify({ dialect, file: made.file, message });
      throw new Error(`${(error as Error).message}\n${what.slice(0, 4000)}`, { cause: error });
    }
  }
}

class Comparison {
  readonly #random: Random;
  readonly #dialect: Dialect;
  readonly #spec: MessageSpec;
  readonly #counts: Counts;
  readonly #ours: Protos;
  readonly #pinus: ProtobufCodec;
  readonly #pomelo: { node: ProtobufCodec; browser: ProtobufCodec };

  constructor(random: Random, dialect: Dialect, made: RandomProtos, counts: Counts) {
    this.#random = random;
    this.#dialect = dialect;
    this.#spec = made.route;
    this.#counts = counts;
    this.#ours = Protos.of(made.file);
    const parsed = (dialect === 'pinus' ? parsePinus : parsePomelo)(made.file);
    const wrong = [...this.#ours.problems, ...this.#ours.warnings];
    if (wrong.length > 0)
      throw new Error(`a problem: ${JSON.stringify({ wrong, file: made.file })}`);
    if (JSON.stringify(parsed) !== JSON.stringify(this.#ours.parsed)) {
      throw new Error(`parsed otherwise: ${JSON.stringify({ file: made.file })}`);
    }
    this.#pinus = pinusCodec(parsed);
    this.#pomelo = pomeloCodecs(parsed);
  }

  compare(message: Record<string, unknown>, withRoom: boolean): void {
    const counts = this.#counts;
    counts.messages++;
    const bytes = this.#encodeAlike(message);
    if (bytes === null) {
      counts.empty++;
    } else {
      this.#decodeAlike(bytes, this.#dialect === 'pinus' ? this.#pinus : this.#pomelo.node);
      if (withRoom) this.#compareWithPomelo(message, bytes);
      for (let i = 0; i < MUTATIONS; i++) this.#readAtMost(mutated(this.#random, bytes));
    }
    if (this.#random.oneIn(3)) this.#missAlike(message);
  }

  /** Pinus's encoder and ours give the same bytes. */
  #encodeAlike(message: Record<string, unknown>): Buffer | null {
    const ours = this.#encode(message, 'utf8');
    const reference = this.#pinus.encode(ROUTE, withMaps(message, this.#spec));
    mustEqual(ours, reference, 'encoded by Pinus');
    return ours;
  }

  /** What Pomelo's encoders write, Node's and the browsers', and what browsers read of ours. */
  #compareWithPomelo(message: Record<string, unknown>, bytes: Buffer): void {
    const counts = this.#counts;
    counts.withRoom++;
    mustEqual(bytes, this.#pomelo.node.encode(ROUTE, message), 'encoded by Pomelo');
    const { browser } = this.#pomelo;
    const value = this.#decode(bytes, 'node');
    const fromBrowser = Buffer.from(browser.encode(ROUTE, message)!);
    mustBeAlike(this.#decode(fromBrowser, 'browser'), value, 'read from a browser');
    counts.fromBrowser++;
    const forBrowser = this.#encode(message, 'cesu8')!;
    mustBeAlike(value, browser.decode(ROUTE, forBrowser), 'read by a browser');
    if (PAIR.test(forBrowser.toString('latin1'))) counts.joined++;
  }

  #decodeAlike(bytes: Buffer, reference: ProtobufCodec): void {
    mustBeAlike(this.#decode(bytes, 'node'), reference.decode(ROUTE, bytes), 'decoded');
  }

  /** Without one field that may be required: both write it, or neither does. With null for it ours is the same. */
  #missAlike(message: Record<string, unknown>): void {
    const spoilt = structuredClone(message);
    const holder = this.#holder(spoilt, this.#spec);
    if (holder === null) return;
    const { name } = this.#random.pick(holder.spec.fields);
    delete holder.message[name];
    const ours = this.#ours.encodeValue(ROUTE, spoilt, 'utf8');
    const reference = this.#pinus.encode(ROUTE, withMaps(spoilt, this.#spec));
    if ('fault' in ours) {
      this.#counts.refused++;
      if (reference !== null) throw new Error(`ours refused ${JSON.stringify(ours.fault)}`);
    } else {
      mustEqual(ours.bytes.length === 0 ? null : ours.bytes, reference, `encoded without ${name}`);
    }
    holder.message[name] = null;
    const withNull = this.#ours.encodeValue(ROUTE, spoilt, 'utf8');
    const problem = difference(withNull, ours);
    if (problem !== null) throw new Error(`null is not as nothing: ${problem}`);
  }

  /** A message somewhere in `message`, which is what `spec` says. */
  #holder(
    message: Record<string, unknown>,
    spec: MessageSpec,
  ): { message: Record<string, unknown>; spec: MessageSpec } | null {
    const nested = spec.fields.filter(({ name, value }) => value.message && message[name]);
    if (nested.length === 0 || this.#random.oneIn(2)) return { message, spec };
    const { name, option, value } = this.#random.pick(nested);
    const field = message[name] as Record<string, unknown>;
    const isMany = option === 'repeated' || option === 'map' || option === 'obj';
    const inner = isMany ? this.#random.pick(Object.values(field)) : field;
    return inner === undefined
      ? null
      : this.#holder(inner as Record<string, unknown>, value.message!);
  }

  /** Bytes that ours reads are read alike by the reference; it is not asked for others: it may never end. */
  #readAtMost(bytes: Buffer): void {
    this.#counts.mutated++;
    const ours = this.#ours.decode(ROUTE, bytes);
    if ('fault' in ours) return;
    if (PAIR.test(bytes.toString('latin1')) || hasNumberBeyond(ours.value)) return;
    this.#counts.mutatedAndRead++;
    const codec = this.#dialect === 'pinus' ? this.#pinus : this.#pomelo.node;
    mustBeAlike(ours.value, codec.decode(ROUTE, bytes), `decoded ${bytes.toString('hex')}`);
  }

  #encode(message: Record<string, unknown>, strings: StringForm): Buffer | null {
    const result = this.#ours.encodeValue(ROUTE, message, strings);
    if ('fault' in result) throw new Error(`ours refused ${JSON.stringify(result.fault)}`);
    return result.bytes.length === 0 ? null : result.bytes;
  }

  #decode(bytes: Buffer, writtenBy: 'node' | 'browser'): unknown {
    const result = this.#ours.decode(ROUTE, bytes);
    if ('fault' in result) {
      throw new Error(`ours refused ${JSON.stringify(result.fault)} in ${bytes.toString('hex')}`);
    }
    if (result.writtenBy !== 'unknown' && result.writtenBy !== writtenBy) {
      throw new Error(`written by ${writtenBy}, and ours says ${result.writtenBy}`);
    }
    return result.value;
  }
}

function hasNumberBeyond(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) > 2 ** 52;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([key, inner]) => hasNumberBeyond(Number(key)) || hasNumberBeyond(inner),
  );
}

function mustEqual(ours: Buffer | null, reference: Uint8Array | null, what: string): void {
  const [a, b] = [ours, reference].map((one) => (one === null ? 'nothing' : toHex(one)));
  if (a !== b)
    throw new Error(`${what}: ours ${a!.slice(0, 400)}, the reference ${b!.slice(0, 400)}`);
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function mustBeAlike(ours: unknown, reference: unknown, what: string): void {
  const problem = difference(ours, reference);
  if (problem !== null) throw new Error(`${what}: ${problem}`);
}
