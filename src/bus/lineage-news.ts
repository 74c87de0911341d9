/**
 * What this gateway tells the others of lineages, over NATS: which have ended, at once; and again every half minute,
 * with the sessions here that have gone on from others. And it asks them for what has ended when it gets a connection.
 */
import { inBackground } from '../background.ts';
import { within } from '../clock.ts';
import { ShapeError } from '../contract/json.ts';
import { errorText, isFailure } from '../errors.ts';
import { type EndedLineage, ENDED_MAX } from '../resume/ended-lineages.ts';
import type { LineagePlace } from '../resume/lineages.ts';
import type { Resume } from '../resume/resume.ts';
import { Timeout } from '../timer-wheel.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { LineageNews, Peers } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import { endedRow, placeRow, readComing, readEnded, readPlaces } from './lineage-words.ts';

/** How long a gateway that starts waits for what the others know to have ended. */
export const FETCH_MS = 2_000;
/** For one part of it. */
const FETCH_PART_MS = 500;
/** Everything is said again within about this time. */
export const LINEAGES_AGAIN_MS = 30_000;
/** One message of a round, and how many rows it has. */
const STEP_MS = 100;
export const ROWS_PER_MESSAGE = 500;
/** The same of an answer to a gateway that has just begun. */
export const ENDED_PER_REPLY = 2_000;

/** What a gateway knows of lineages. */
export type Known = Pick<Resume, 'lineages' | 'ended' | 'hearEnded'>;

type Told = { did?: string; refused?: number; ended?: unknown[]; next?: number };
type Row = { readonly live: LineagePlace } | { readonly ended: EndedLineage };

export class NatsLineageNews implements LineageNews {
  readonly #parts: BusParts;
  readonly #peers: Pick<Peers, 'ended'>;
  readonly #step: Timeout;
  readonly #ready = Promise.withResolvers<void>();
  #known: Known | null = null;
  #isReady = false;
  #isFetching = false;
  /** Lineages that have ended here: this gateway says it again. */
  readonly #own = new Set<string>();
  #round: Iterator<Row> | null = null;
  /** There is a gateway that may not have heard it. */
  #isAgain = false;
  /** A time of the clock. */
  #nextRoundAt = 0;

  constructor(parts: BusParts, peers: Pick<Peers, 'ended'>) {
    this.#parts = parts;
    this.#peers = peers;
    this.#step = new Timeout(() => {
      this.#onStep();
    });
  }

  attach(known: Known): void {
    this.#known = known;
    this.#parts.wheel.set(this.#step, STEP_MS);
  }

  /** What the others know to have ended is known here, or could not be had in time; or it is not needed. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when that holds. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  tellEnded(ended: EndedLineage): void {
    this.#own.delete(ended.lineage);
    this.#own.add(ended.lineage);
    for (const lineage of this.#own) {
      if (this.#own.size <= ENDED_MAX) break;
      this.#own.delete(lineage);
    }
    this.#publish([{ ended }]);
  }

  /** There is a connection, the first or another. */
  onUp(): void {
    if (this.#known === null) {
      this.#setReady();
      return;
    }
    this.#learn(this.#known);
  }

  /** A gateway is known that was not: it may know what this one does not, and not what this one does. */
  onNew(): void {
    if (this.#known !== null && this.#isReady) this.#learn(this.#known);
  }

  #learn(known: Known): void {
    this.#isAgain = true;
    this.#parts.wheel.set(this.#step, STEP_MS);
    if (this.#isFetching) return;
    this.#isFetching = true;
    inBackground(this.#fetch(known), (error) => {
      this.#parts.report.error(`ended sessions could not be fetched: ${errorText(error)}`);
    });
  }

  // ---- what the others know -----------------------------------------------------------------------------

  async #fetch(known: Known): Promise<void> {
    try {
      await within(this.#parts.clock, FETCH_MS, this.#fetchAll(known), undefined);
    } finally {
      this.#isFetching = false;
      this.#setReady();
    }
  }

  #setReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  /** The beginning of everybody's list, since one may lack something; the rest of the longest. */
  async #fetchAll(known: Known): Promise<void> {
    let next = { gateway: '', after: 0 };
    do {
      const call = this.#peers.ended(next.gateway, next.after, FETCH_PART_MS);
      if (isFailure(call)) return;
      const { answers } = await call;
      next = { gateway: '', after: 0 };
      for (const { gateway, ended = [], next: after = 0 } of answers) {
        for (const one of ended) known.hearEnded(one);
        if (after > next.after) next = { gateway, after };
      }
    } while (next.gateway !== '');
  }

  // ---- what the others say and ask ----------------------------------------------------------------------

  /** Returns what is answered. */
  onCall(verb: 'resume' | 'ended' | 'lineages', fields: Readonly<Record<string, unknown>>): Told {
    if (this.#known === null || fields['gateway'] === this.#parts.gatewayId) return {};
    if (verb === 'resume') return this.#onComing(fields, this.#known);
    if (verb === 'ended') return this.#onAsked(fields, this.#known);
    for (const place of readPlaces(fields['live'])) {
      const better = this.#known.lineages.hear(place);
      if (better !== null) this.#publish([{ live: better }]);
    }
    for (const one of readEnded(fields['ended'])) this.#known.hearEnded(one);
    return {};
  }

  #onComing(fields: Readonly<Record<string, unknown>>, { lineages }: Known): Told {
    const place = readComing(fields);
    if (place === null) throw new ShapeError('a session that goes on needs lineage, counter, sid');
    return { did: 'resume', ...(!lineages.isFreeFor(place) && { refused: 1 }) };
  }

  #onAsked({ of, after }: Readonly<Record<string, unknown>>, { ended }: Known): Told {
    if (of !== '' && of !== this.#parts.gatewayId) return {};
    const from = typeof after === 'number' ? after : 0;
    const page = ended.page(from, ENDED_PER_REPLY);
    return { did: 'ended', ended: page.ended.map(endedRow), next: page.next };
  }

  // ---- what this one says -------------------------------------------------------------------------------

  #onStep(): void {
    const { connector, wheel } = this.#parts;
    if (connector.up) this.#sayNext();
    wheel.set(this.#step, this.#pauseMs);
  }

  /** One message of a round follows another, then there is nothing to say until the next round. */
  get #pauseMs(): number {
    if (this.#round !== null || this.#isAgain) return STEP_MS;
    return Math.max(STEP_MS, this.#nextRoundAt - this.#parts.clock.now());
  }

  #sayNext(): void {
    const { clock } = this.#parts;
    if (this.#isAgain || (this.#round === null && clock.now() >= this.#nextRoundAt)) {
      this.#isAgain = false;
      this.#nextRoundAt = clock.now() + LINEAGES_AGAIN_MS;
      this.#round = this.#rows();
    }
    if (this.#round === null) return;
    const rows: Row[] = [];
    while (rows.length < ROWS_PER_MESSAGE && this.#round !== null) {
      const { value, done } = this.#round.next();
      if (done === true) this.#round = null;
      else rows.push(value);
    }
    if (rows.length > 0) this.#publish(rows);
  }

  *#rows(): IterableIterator<Row> {
    const { lineages, ended } = this.#known!;
    for (const live of lineages.goneOn()) yield { live };
    for (const lineage of this.#own) {
      const one = ended.entryOf(lineage);
      if (one === null) this.#own.delete(lineage);
      else yield { ended: one };
    }
  }

  #publish(rows: readonly Row[]): void {
    const { connector, gatewayId, report, subjects } = this.#parts;
    const json = {
      gateway: gatewayId,
      live: rows.flatMap((row) => ('live' in row ? [placeRow(row.live)] : [])),
      ended: rows.flatMap((row) => ('ended' in row ? [endedRow(row.ended)] : [])),
    };
    const payload = Buffer.from(JSON.stringify(json));
    const unsent = send(connector, { subject: subjects.fleet('lineages'), payload });
    // Without a bus there is nobody to tell: it is said again once there is one.
    if (unsent !== null && unsent.reason !== 'BUS_AWAY')
      report.refused(unsent.reason, 'lineages', unsent.message);
  }
}
