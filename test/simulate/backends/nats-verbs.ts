/** Verbs and their answers on NATS, as JSON. */
import type { Outcome } from '../records.ts';
import type { ConnectShape, PatchShape } from './write-frames.ts';

/** The counts of one more gateway. */
export function added(sum: Outcome, json: string): Outcome {
  const answer = JSON.parse(json) as Partial<Outcome>;
  const { delivered = 0, dropped = 0, refused = 0 } = answer;
  return {
    delivered: sum.delivered + delivered,
    dropped: sum.dropped + dropped,
    refused: sum.refused + refused,
    isPartial: sum.isPartial,
  };
}

/** Of the one session in an answer to `get`; 0: it has none. */
export function versionIn(json: string): number {
  const { sessions } = JSON.parse(json) as { sessions?: readonly { version: string }[] };
  return Number(sessions?.[0]?.version ?? 0);
}

/** The verb that says just that, or `patch`, and its payload. */
export function verbOf(patch: PatchShape): readonly [verb: string, json: string] {
  const { ifVersion, join, leave, set, uid } = patch;
  const given = [uid, set, join, leave].filter((one) => one !== undefined).length;
  const version = ifVersion === undefined || ifVersion === 0 ? {} : { if_version: ifVersion };
  if (given === 1 && uid !== undefined && ifVersion === 0)
    return uid === '' ? ['unbind', ''] : ['bind', JSON.stringify({ uid })];
  if (given === 1 && set !== undefined) return ['set', JSON.stringify({ set, ...version })];
  if (given === 1 && join !== undefined) return ['join', JSON.stringify({ groups: join })];
  if (given === 1 && leave !== undefined) return ['leave', JSON.stringify({ groups: leave })];
  return ['patch', JSON.stringify({ uid, set, join, leave, ...version })];
}

/** A ConnectResponse, as proto3's JSON mapping has it. */
export function connectJson(outcome: ConnectShape): object {
  if ('error' in outcome) return outcome;
  const { expiresInMs, patch, user } = outcome.accept;
  return {
    accept: {
      ...(patch !== null && { patch }),
      user,
      ...(expiresInMs > 0 && { expires_in: `${expiresInMs / 1_000}s` }),
    },
  };
}
