/** What gateways say to each other of lineages, in JSON. Nothing in it is trusted: others use the bus too. */
import type { EndedLineage } from '../resume/ended-lineages.ts';
import type { LineagePlace } from '../resume/lineages.ts';

/** A sid, or a lineage, which is one: a gateway's id, a dot, a number. */
const SID = /^[A-Za-z0-9_-]{1,64}\.[1-9][0-9]{0,15}$/;

/** A question: whether this session may go on. null: it is none. */
export function readComing(fields: Readonly<Record<string, unknown>>): LineagePlace | null {
  return placeOf(fields['lineage'], fields['counter'], fields['sid']);
}

export function placeRow({ lineage, counter, sid }: LineagePlace): unknown[] {
  return [lineage, counter, sid];
}

export function endedRow({ lineage, upTo, leftMs }: EndedLineage): unknown[] {
  return [lineage, upTo, leftMs];
}

/** Rows of another form are left out. */
export function readPlaces(rows: unknown): LineagePlace[] {
  return rowsOf(rows).flatMap(([lineage, counter, sid]) => {
    const place = placeOf(lineage, counter, sid);
    return place === null ? [] : [place];
  });
}

/** The same. */
export function readEnded(rows: unknown): EndedLineage[] {
  return rowsOf(rows).flatMap(([lineage, upTo, leftMs]) =>
    isSid(lineage) && (upTo === null || isCount(upTo)) && isCount(leftMs) && leftMs > 0
      ? [{ lineage, upTo, leftMs }]
      : [],
  );
}

function placeOf(lineage: unknown, counter: unknown, sid: unknown): LineagePlace | null {
  return isSid(lineage) && isCount(counter) && isSid(sid) ? { lineage, counter, sid } : null;
}

function rowsOf(rows: unknown): unknown[][] {
  return Array.isArray(rows) ? rows.filter((row) => Array.isArray(row)) : [];
}

function isSid(value: unknown): value is string {
  return typeof value === 'string' && SID.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
