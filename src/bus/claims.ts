/** What gateways say to each other about a uid that may have only so many sessions, on `pith.user.<uid>.claim`. */
import { isObject } from '../protocol/exact-json.ts';

/** A session, and when it was bound. */
export type Place = {
  readonly sid: string;
  /** Milliseconds since the epoch. */
  readonly boundAt: number;
};

/** A session says that it has the uid. */
export type Claim = Place & {
  /** It has had it for a while. */
  readonly again: boolean;
  /** How long it has had it at least, in milliseconds; no clock that is wrong makes it longer. */
  readonly ageMs: number;
  /** The first session of those that go on from each other; '': it does not say. */
  readonly lineage: string;
  /** All sessions that are older than this one lose their place; null: those that are older than the claim's. */
  readonly floor: Place | null;
};

/** A time beyond it has no text as a Timestamp. [protobuf, timestamp.proto: year 9999] */
export const BOUND_AT_MAX = 253_402_300_799_999;

/** Whichever clock a gateway has: all agree which of two sessions is the newer. */
export function isNewer(one: Place, other: Place): boolean {
  return one.boundAt === other.boundAt ? one.sid > other.sid : one.boundAt > other.boundAt;
}

export function newestFirst(places: readonly Place[]): Place[] {
  return places.toSorted((one, other) => (isNewer(one, other) ? -1 : 1));
}

export function claimJson(uid: string, claim: Claim): object {
  const { again, ageMs, lineage, floor } = claim;
  return {
    ...placeJson(claim),
    uid,
    age_ms: ageMs,
    ...(again && { again }),
    ...(lineage !== '' && { lineage }),
    ...(floor !== null && { floor: placeJson(floor) }),
  };
}

function placeJson({ sid, boundAt }: Place): object {
  return { sid, bound_at: boundAt };
}

/** null: it is none. */
export function readClaim(fields: Readonly<Record<string, unknown>>): Claim | null {
  const place = readPlace(fields);
  if (place === null) return null;
  const { again, age_ms: ageMs, lineage, floor } = fields;
  return {
    ...place,
    again: again === true,
    lineage: typeof lineage === 'string' ? lineage : '',
    ageMs: Number.isSafeInteger(ageMs) ? (ageMs as number) : 0,
    floor: isObject(floor) ? readPlace(floor) : null,
  };
}

function readPlace({ sid, bound_at: boundAt }: Readonly<Record<string, unknown>>): Place | null {
  return typeof sid === 'string' && isTime(boundAt) ? { sid, boundAt } : null;
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= BOUND_AT_MAX;
}

/** The sessions of one gateway, as it answers: `[[n, bound at], …]`. What is not of that form is left out. */
export function readHeld(gateway: string, held: unknown, max: number): Place[] {
  if (!Array.isArray(held)) return [];
  return held.slice(0, max).flatMap((entry: unknown) => {
    const [n, boundAt] = Array.isArray(entry) ? (entry as unknown[]) : [];
    return Number.isSafeInteger(n) && isTime(boundAt)
      ? [{ sid: `${gateway}.${String(n)}`, boundAt }]
      : [];
  });
}
