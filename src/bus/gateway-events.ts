/** Reads what other gateways tell of themselves. Where permissions are off, anyone may have sent it. */
import { isGeneration } from '../config/syntax.ts';
import type { LostGateway } from '../contract/facts.ts';
import { ShapeError, textOf, wholeNumberOf } from '../contract/json.ts';
import { isObject } from '../protocol/exact-json.ts';

/** A configured id, `-`, and ten characters. */
const GATEWAY_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** How much further the term of a `lost` may be than what is known of that gateway; of more, nobody can have heard. */
export const TERM_AHEAD_MAX = 1_000;

/** Generations that one sign of life may tell of. */
const GENERATIONS_MAX = 16;

export type AliveFields = {
  readonly gateway: string;
  /** Of its last event. */
  readonly seq: number;
  readonly sessions: number;
  readonly term: number;
  /** Milliseconds since the epoch, by its own clock. */
  readonly startedAtWall: number;
};

/** What it tells of its place in the fleet. */
export type MemberFields = {
  readonly gateway: string;
  readonly sessions: number;
  /** '': none, or an older release. */
  readonly generation: string;
  /** Of its process, in milliseconds. */
  readonly ageMs: number;
  /** How long ago the first gateway of each generation was started, in milliseconds. */
  readonly generations: readonly { readonly generation: string; readonly ageMs: number }[];
  /** How many sessions it takes in all. */
  readonly room: number;
  /** How long ago sessions were moved between gateways, from the first to the last time. null: not lately. */
  readonly moved: { readonly sinceMs: number; readonly untilMs: number } | null;
};

type Fields = Record<string, unknown>;

/** @throws {ShapeError} */
export function readAlive(fields: Fields): AliveFields & MemberFields {
  return {
    gateway: idOf(fields, 'gateway'),
    seq: countOf(fields, 'seq'),
    sessions: countOf(fields, 'sessions'),
    term: countOf(fields, 'term'),
    startedAtWall: timeOf(fields, 'started_at'),
    generation: labelOf(fields),
    ageMs: countOf(fields, 'age_ms'),
    generations: generationsOf(fields['generations']),
    room: countOf(fields, 'room'),
    moved: movedOf(fields['moved']),
  };
}

/** What is no label is none: a later release may have other ones. */
function labelOf({ generation }: Fields): string {
  return typeof generation === 'string' && isGeneration(generation) ? generation : '';
}

function generationsOf(value: unknown): MemberFields['generations'] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new ShapeError('generations is not a list');
  return value
    .slice(0, GENERATIONS_MAX)
    .filter(isObject)
    .map((one: Fields) => ({ generation: labelOf(one), ageMs: countOf(one, 'age_ms') }))
    .filter(({ generation }) => generation !== '');
}

function movedOf(value: unknown): MemberFields['moved'] {
  if (value === undefined || !isObject(value)) return null;
  return { sinceMs: countOf(value, 'since_ms'), untilMs: countOf(value, 'until_ms') };
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
