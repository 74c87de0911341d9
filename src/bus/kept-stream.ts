/**
 * The JetStream stream that keeps pushes for users who are away for a moment: found by its subject, checked once, and
 * read by JetStream's direct get.
 */
import { inBackground } from '../background.ts';
import { readObject } from '../contract/json-shapes.ts';
import { errorText, isFailure } from '../errors.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import { statusOf } from '../upstream/nats/header-block.ts';
import { directGet, STREAM_NAMES, streamInfo } from '../upstream/nats/subjects.ts';
import type { BusParts } from './bus-parts.ts';
import { type KeptPush, readKept } from './kept-push.ts';
import type { RequestMany } from './request-many.ts';

const WAIT_MS = 2_000;
/** How often the stream is looked for while it is missing. */
const LOOK_EVERY_MS = 5_000;
/** What one reading brings at most; JetStream may exceed the bytes by one message. */
export const PAGE_PUSHES_MAX = 64;
export const PAGE_BYTES_MAX = 262_144;

/** [github.com/nats-io/nats-server, server/errors.json] */
const NO_JETSTREAM = new Set([10_039, 10_076]);
const HOW = 'run `make keep-stream`';
const NO_ANSWER =
  'sessions.resume.replay needs JetStream, which does not answer: enable it in nats-server, and allow gateways the lines $JS.API.… of deploy/nats/permissions.conf';

/** Pushes that follow each other in the stream. */
export type KeptPage = {
  readonly pushes: readonly KeptPush[];
  /** There are no more after these. */
  readonly isLast: boolean;
};

/** How the stream is configured, as far as it matters. */
type Found = { readonly name: string; readonly perUserMax: number };

export class KeptStream {
  readonly #parts: BusParts;
  readonly #requests: RequestMany;
  readonly #windowMs: number;
  #found: Found | null = null;
  /** Why it cannot be used, as a sentence. */
  #problem = 'sessions.resume.replay: the stream of kept pushes has not been found yet';
  #looking = false;
  /** The answer that those wait for who ask now; null: nobody does. */
  #nextEnd: Promise<number | null> | null = null;
  #end: Promise<number | null> = Promise.resolve(null);

  /** @param windowMs `sessions.resume.window`: at least so long pushes must be kept. */
  constructor(parts: BusParts, requests: RequestMany, windowMs: number) {
    this.#parts = parts;
    this.#requests = requests;
    this.#windowMs = windowMs;
  }

  /** Why it cannot be used; null: it can, or could once. */
  get problem(): string | null {
    return this.#found === null ? this.#problem : null;
  }

  /** Pushes that it keeps of one user; Infinity: all. */
  get perUserMax(): number {
    return this.#found?.perUserMax ?? Infinity;
  }

  /** Looks for it until it is found, in the background. */
  find(): void {
    if (this.#found !== null || this.#looking) return;
    this.#looking = true;
    inBackground(this.#lookOnce(), (error) => {
      this.#parts.report.error(`the stream of kept pushes: ${errorText(error)}`);
    });
  }

  async #lookOnce(): Promise<void> {
    const { report, clock } = this.#parts;
    const found = await this.#look();
    this.#looking = false;
    if (typeof found !== 'string') {
      this.#found = found;
      report.keptStreamFound(found.name);
      return;
    }
    if (found !== this.#problem) report.error(found);
    this.#problem = found;
    clock.setTimer(LOOK_EVERY_MS, () => {
      if (this.#parts.connector.up) this.find();
    });
  }

  /** A string: why it cannot be used. */
  async #look(): Promise<Found | string> {
    const { allKept } = this.#parts.subjects;
    const answer = await this.#ask(STREAM_NAMES, { subject: allKept });
    if (answer === null) return NO_ANSWER;
    if (NO_JETSTREAM.has(errorCode(answer))) return NO_ANSWER;
    const names = Array.isArray(answer['streams']) ? (answer['streams'] as unknown[]) : [];
    const name = names[0];
    if (typeof name !== 'string')
      return `sessions.resume.replay needs a JetStream stream of ${allKept}, and there is none: ${HOW}`;
    const info = await this.#ask(streamInfo(name), {});
    if (info === null || errorCode(info) !== 0) return NO_ANSWER;
    const wrong = this.#wrongIn(info['config'] as StreamConfig);
    if (wrong !== null) return `the JetStream stream ${name} of ${allKept} ${wrong}: ${HOW}`;
    const { max_msgs_per_subject: max = -1 } = info['config'] as StreamConfig;
    const usable = { name, perUserMax: max > 0 ? max : Infinity };
    // Reading needs a permission of its own.
    const page = await this.#read(usable, this.#parts.subjects.keep('x'), 1);
    return page === null ? NO_ANSWER : usable;
  }

  #wrongIn(config: StreamConfig): string | null {
    const { allKept, keptOnwards } = this.#parts.subjects;
    const { src, dest } = config.republish ?? {};
    if (src !== allKept || dest !== keptOnwards)
      return `does not republish from ${allKept} to ${keptOnwards}`;
    if (config.allow_direct !== true) return 'does not allow direct access';
    const ageMs = (config.max_age ?? 0) / 1e6;
    if (ageMs > 0 && ageMs < this.#windowMs)
      return `keeps pushes for ${ageMs / 1_000}s, which is less than sessions.resume.window`;
    return null;
  }

  /** The number of the last message in the stream, now; null: it does not answer. Who asks at once asks together. */
  end(): Promise<number | null> {
    this.#nextEnd ??= this.#end.then(() => {
      this.#nextEnd = null;
      this.#end = this.#askEnd();
      return this.#end;
    });
    return this.#nextEnd;
  }

  async #askEnd(): Promise<number | null> {
    if (this.#found === null) return null;
    const info = await this.#ask(streamInfo(this.#found.name), {});
    const { last_seq: last } = (info?.['state'] ?? {}) as { last_seq?: unknown };
    return typeof last === 'number' ? last : null;
  }

  /** The pushes to a user from the number `from` on; null: the stream does not answer. */
  read(uid: string, from: number): Promise<KeptPage | null> {
    if (this.#found === null) return Promise.resolve(null);
    return this.#read(this.#found, this.#parts.subjects.keep(uid), from);
  }

  /** Servers before 2.11 know no batches: they answer with one message. */
  async #read({ name }: Found, subject: string, from: number): Promise<KeptPage | null> {
    const pushes: KeptPush[] = [];
    let status = 0;
    let isOver = false;
    let isLast = false;
    let hasHole = false;
    const question = {
      seq: Math.max(1, from),
      next_by_subj: subject,
      batch: PAGE_PUSHES_MAX,
      max_bytes: PAGE_BYTES_MAX,
    };
    const take = (message: NatsMessage): boolean => {
      status = statusOf(message);
      if (status === 0) {
        const kept = readKept(message);
        if (kept === null) return false;
        // Of a batch that comes over two connections, one after the other, the middle may be missing.
        hasHole ||= kept.pending >= 0 && kept.previous !== (pushes.at(-1)?.seq ?? 0);
        pushes.push(kept);
        isOver = kept.pending < 0;
        return isOver;
      }
      isOver = true;
      isLast = status === 404 || (status === 204 && pushes.at(-1)?.pending === 0);
      return true;
    };
    const pending = this.#requests.send({
      subject: directGet(name),
      payload: Buffer.from(JSON.stringify(question)),
      waitMs: WAIT_MS,
      take,
    });
    if (isFailure(pending)) return null;
    await pending.ended;
    if (!isOver || hasHole || (status !== 0 && status !== 404 && status !== 204)) return null;
    return { pushes, isLast };
  }

  /** One answer as JSON; null: there was none, or it could not be read. */
  async #ask(subject: string, question: object): Promise<Readonly<Record<string, unknown>> | null> {
    let answer: Readonly<Record<string, unknown>> | null = null;
    const pending = this.#requests.send({
      subject,
      payload: Buffer.from(JSON.stringify(question)),
      waitMs: WAIT_MS,
      take: ({ data }) => {
        answer = readAnswer(data);
        return true;
      },
    });
    if (isFailure(pending)) return null;
    await pending.ended;
    return answer;
  }
}

type StreamConfig = {
  readonly republish?: { readonly src?: string; readonly dest?: string };
  readonly allow_direct?: boolean;
  /** Nanoseconds; 0: no limit. */
  readonly max_age?: number;
  readonly max_msgs_per_subject?: number;
};

function readAnswer(data: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    return readObject(data);
  } catch {
    return null;
  }
}

/** 0: it is no error. */
function errorCode(answer: Readonly<Record<string, unknown>>): number {
  const error = answer['error'] as { err_code?: unknown } | undefined;
  if (error === undefined) return 0;
  return typeof error.err_code === 'number' ? error.err_code : -1;
}
