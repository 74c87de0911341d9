/** Reads what other gateways tell of themselves. Where permissions are off, anyone may have sent it. */
import type { LostGateway } from '../contract/facts.ts';
import { ShapeError, textOf, wholeNumberOf } from '../contract/json.ts';

/** A configured id, `-`, and ten characters. */
const GATEWAY_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** How much further the term of a `lost` may be than what is known of that gateway; of more, nobody can have heard. */
export const TERM_AHEAD_MAX = 1_000;

export type AliveFields = {
  readonly gateway: string;
  /** Of its last event. */
  readonly seq: number;
  readonly sessions: number;
  readonly term: number;
  /** Milliseconds since the epoch, by its own clock. */
  readonly startedAtWall: number;
};

type Fields = Record<string, unknown>;

/** @throws {ShapeError} */
export function readAlive(fields: Fields): AliveFields {
  return {
    gateway: idOf(fields, 'gateway'),
    seq: countOf(fields, 'seq'),
    sessions: countOf(fields, 'sessions'),
    term: countOf(fields, 'term'),
    startedAtWall: timeOf(fields, 'started_at'),
  };
}

/** The same whichever gateway says it. */
export function lostId(gateway: string, term: number): string {
  return `lost.${gateway}.${term}`;
}

/** @throws {ShapeError} */
export function readLost(fields: Fields): LostGateway {
  const [gateway, term] = [idOf(fields, 'gateway'), countOf(fields, 'term')];
  return {
    ...{ id: lostId(gateway, term), gateway, term },
    sessions: countOf(fields, 'sessions'),
    lastHeardWall: timeOf(fields, 'last_heard'),
    lastSeq: countOf(fields, 'last_seq'),
    by: idOf(fields, 'by'),
    seq: countOf(fields, 'seq'),
  };
}

function idOf(fields: Fields, name: string): string {
  const id = textOf(fields[name], name);
  if (!GATEWAY_ID.test(id)) throw new ShapeError(`${name} is not the id of a gateway`);
  return id;
}

function countOf(fields: Fields, name: string): number {
  return wholeNumberOf(fields[name] ?? 0, name);
}

function timeOf(fields: Fields, name: string): number {
  const time = Date.parse(textOf(fields[name], name));
  if (Number.isNaN(time)) throw new ShapeError(`${name} is not a time`);
  return time;
}
