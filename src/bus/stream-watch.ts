/**
 * Which subjects of the gateway a JetStream stream captures. A stream acknowledges what it captures, and the gateway
 * would take that for an answer. Checked when the gateway starts, and again for each answer that looks like an
 * acknowledgement, since a stream may have been created in the meantime.
 */
import type { NatsReport } from '../upstream/nats/nats-report.ts';
import type { Clock } from '../clock.ts';
import { inBackground } from '../background.ts';
import { readObject } from '../contract/json-shapes.ts';
import { errorText, isFailure } from '../errors.ts';
import { STREAM_NAMES, type Subjects } from '../upstream/nats/subjects.ts';
import type { BusParts } from './bus-parts.ts';
import type { RequestMany } from './request-many.ts';

const WAIT_MS = 2_000;
/** How long it is remembered that a stream was found, or that there was no answer. Finding none is never remembered. */
const KEPT_MS = 10_000;
/** Subjects that are remembered, and checks that are under way. */
const SUBJECTS_MAX = 1_000;

/** JetStream is off for this account, or altogether. [github.com/nats-io/nats-server, server/errors.json] */
const NO_JETSTREAM = new Set([10_039, 10_076]);

/** The streams that capture a subject; null: this could not be found out. */
type Found = readonly string[] | null;

export class StreamWatch {
  readonly #requests: RequestMany;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #report: NatsReport;
  /** Until when these subjects count as captured. */
  readonly #captured = new Map<string, number>();
  /** Checks that have not begun: later callers wait for the same one. */
  readonly #next = new Map<string, Promise<boolean>>();
  readonly #under = new Map<string, Promise<boolean>>();

  constructor({ subjects, clock, report }: BusParts, requests: RequestMany) {
    this.#requests = requests;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#report = report;
  }

  /** Reports the streams that capture subjects that none may capture, if there are any. */
  lookAtAll(): void {
    inBackground(this.#lookAtAll(), (error) => {
      this.#report.error(
        `could not check whether a stream captures subjects of the gateway: ${errorText(error)}`,
      );
    });
  }

  async #lookAtAll(): Promise<void> {
    const streams = new Set<string>();
    const captured: string[] = [];
    await Promise.all(
      this.#subjects.notForStreams.map(async (subject) => {
        const found = await this.#look(subject);
        if (found === null || found.length === 0) return;
        captured.push(subject);
        for (const name of found) streams.add(name);
      }),
    );
    if (streams.size === 0) return;
    this.#report.error(
      `JetStream captures ${captured.sort().join(', ')} in the stream${streams.size === 1 ? '' : 's'} ` +
        `${[...streams].sort().join(', ')}, which acknowledges messages in place of those who should answer them: ` +
        'remove these subjects from the stream; a stream may capture only subjects under event and keep',
    );
  }

  /**
   * True when a stream captures `subject`, or when that could not be found out. Checked anew unless one was found a
   * moment ago, so that a new stream is noticed. Never rejects.
   */
  captures(subject: string): boolean | Promise<boolean> {
    const until = this.#captured.get(subject);
    if (until !== undefined && this.#clock.now() < until) return true;
    const known = this.#next.get(subject);
    if (known !== undefined) return known;
    if (this.#under.size + this.#next.size >= SUBJECTS_MAX) return true;
    const before = this.#under.get(subject);
    const look = (before ?? Promise.resolve()).then(() => this.#lookAt(subject));
    this.#next.set(subject, look);
    return look;
  }

  async #lookAt(subject: string): Promise<boolean> {
    const look = this.#next.get(subject)!;
    this.#next.delete(subject);
    this.#under.set(subject, look);
    const found = await this.#look(subject);
    this.#under.delete(subject);
    this.#captured.delete(subject);
    if (found !== null && found.length === 0) return false;
    if (this.#captured.size >= SUBJECTS_MAX) this.#captured.clear();
    this.#captured.set(subject, this.#clock.now() + KEPT_MS);
    return true;
  }

  async #look(subject: string): Promise<Found> {
    let names: string[] | null = null;
    const pending = this.#requests.send({
      subject: STREAM_NAMES,
      payload: Buffer.from(JSON.stringify({ subject })),
      waitMs: WAIT_MS,
      take: ({ data }) => {
        names = streamNames(data);
        return names !== null;
      },
    });
    if (isFailure(pending)) return null;
    // No responders: there is no JetStream, so there are no streams.
    return (await pending.ended) === 'nobody' ? [] : names;
  }
}

/** null: the answer does not say which streams there are. */
function streamNames(answer: Uint8Array): string[] | null {
  try {
    const { streams, error } = readObject(answer);
    const number = (error as { err_code?: unknown } | undefined)?.err_code;
    if (typeof number === 'number' && NO_JETSTREAM.has(number)) return [];
    if (error !== undefined) return null;
    return Array.isArray(streams) ? streams.filter((name) => typeof name === 'string') : [];
  } catch {
    return null;
  }
}
