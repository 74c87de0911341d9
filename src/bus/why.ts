/** What this gateway knows of a failure, and what all of them know together. */
import type { FailureRecord } from '../failures/failure-record.ts';
import { FAILURES_SHOWN_MAX, type Failures } from '../failures/failures.ts';
import { parseRef } from '../ref.ts';
import type { Registry } from '../session/registry.ts';
import type { PeerReply } from './bus.ts';

/** Characters of what is asked about. */
export const ABOUT_CHARS_MAX = 300;
/** Sessions of one uid that one gateway names. */
const SIDS_MAX = 100;
/** Bytes of an answer besides its records. */
const AROUND_BYTES = 16_384;

export type WhyHere = {
  /** The oldest first. */
  readonly failures: readonly FailureRecord[];
  /** Sessions that are open. */
  readonly sids: string[];
};

export type WhyKnown = WhyHere & {
  readonly gateways: number;
  readonly silentGateways: readonly string[];
};

/** @param about A ref, a sid or a uid. */
export function whyHere(
  failures: Failures,
  registry: Pick<Registry, 'bySid' | 'byUid'>,
  about: string,
  bytesMax: number,
): WhyHere {
  const sids: string[] = [];
  const named = registry.bySid(parseRef(about)?.sid ?? about);
  if (named !== undefined) sids.push(named.sid);
  for (const { sid } of registry.byUid(about)) if (sids.length < SIDS_MAX) sids.push(sid);
  // Of a ref only what it names.
  const all = failures.about(about, parseRef(about) === null ? sids : []);
  let bytes = AROUND_BYTES;
  let first = all.length;
  while (first > 0 && (bytes += JSON.stringify(all[first - 1]).length * 3) < bytesMax) first--;
  return { failures: all.slice(first), sids };
}

export function whyOfAll(own: WhyHere, answers: readonly PeerReply[]): WhyHere {
  const failures = [...own.failures];
  const sids = [...own.sids];
  for (const answer of answers) {
    failures.push(...(answer.failures ?? []));
    sids.push(...(answer.sids ?? []));
  }
  return {
    failures: failures.toSorted((a, b) => a.at - b.at).slice(-FAILURES_SHOWN_MAX),
    sids: sids.toSorted(),
  };
}
