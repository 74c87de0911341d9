/**
 * `auth.mode: jwt`: whether a token holds, and what it grants. Whatever goes wrong, nobody gets in by it: there is one way to
 * a `Granted`, at the end of `#read`.
 */
import { type Clock, within } from '../../clock.ts';
import { type Failure, failure, isFailure } from '../../errors.ts';
import type { HandshakeRequest } from '../../protocol/handshake.ts';
import { isObject } from '../../protocol/exact-json.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type ClaimRules, type Granted, readClaims } from './claims.ts';
import type { Jwks } from './jwks.ts';
import { readTokenHead, refused, type Refused, type TokenHead } from './token.ts';
import type { Verifier } from './verifier.ts';
import type { KeyRing } from './verify-keys.ts';

/** What `auth.jwt` says. */
export type TokenRules = ClaimRules & {
  /** A key of the handshake, as `user.token`. */
  readonly from: string;
  readonly algorithms: readonly string[];
  /** Of files and of the configuration itself. */
  readonly ring: KeyRing;
  /** null: there is no URL. */
  readonly jwks: Jwks | null;
};

export type TokenUse = 'handshake' | 'refresh';

export type TokenCheckParts = {
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly metrics: Metrics;
};

type Asked = {
  readonly use: TokenUse;
  /** By then there is an answer, on the monotonic clock. */
  readonly deadline: number;
  /** Whoever has brought the token is still there. */
  readonly isWanted: () => boolean;
  /** Why a token that holds is not taken; null: it is. Default: every one is. */
  readonly refusal?: (granted: Granted) => Refused | null;
};

type Outcome = Granted | Refused | Failure;

const NO_KEYS = failure('NO_KEYS');
const GONE = failure('CLOSING');
const LATE = { ...failure('OVERLOADED'), detail: 'the token could not be verified in time' };

export class TokenCheck {
  readonly #parts: TokenCheckParts;
  /** Replaced when the configuration is reloaded. */
  rules: TokenRules;

  constructor(parts: TokenCheckParts, rules: TokenRules) {
    this.#parts = parts;
    this.rules = rules;
  }

  /** Why no client can come in; '': one can. */
  get notReady(): string {
    return this.rules.jwks?.away ?? '';
  }

  /** What stands in a handshake where the token should be. */
  tokenIn({ user, sys }: HandshakeRequest): unknown {
    const { from } = this.rules;
    const dot = from.indexOf('.');
    const path = from.slice(dot + 1);
    let value: unknown = from.slice(0, dot) === 'sys' ? sys : user;
    if (isObject(value) && Object.hasOwn(value, path)) return value[path];
    for (const segment of path.split('.')) {
      if (!isObject(value) || !Object.hasOwn(value, segment)) return undefined;
      value = value[segment];
    }
    return value;
  }

  /** What the token grants; or why it grants nothing, as its client may know it. Rejects by a fault of ours alone. */
  async check(token: unknown, asked: Asked): Promise<Granted | Failure> {
    const { clock, metrics } = this.#parts;
    const leftMs = Math.max(0, asked.deadline - clock.now());
    const found = await within<Outcome>(clock, leftMs, this.#read(token, asked), LATE);
    const isHeld = !('fault' in found) && !isFailure(found);
    const outcome = isHeld ? (asked.refusal?.(found) ?? found) : found;
    if ('fault' in outcome) {
      metrics.add('pith_jwt_tokens_total', [asked.use, outcome.fault]);
      return failureOf(outcome);
    }
    const word = isFailure(outcome) ? outcome.reason.toLowerCase() : 'accepted';
    metrics.add('pith_jwt_tokens_total', [asked.use, word]);
    return outcome;
  }

  async #read(token: unknown, { isWanted }: Asked): Promise<Outcome> {
    // A reload may replace them while we wait.
    const { rules } = this;
    const head = readTokenHead(token, rules);
    if ('fault' in head) return head;
    const payload = await this.#payloadOf(token as string, head, rules, isWanted);
    if (!(payload instanceof Uint8Array)) return payload;
    return readClaims(payload, rules, this.#parts.clock.wallNow());
  }

  async #payloadOf(
    token: string,
    { algorithm, kid }: TokenHead,
    { ring, jwks }: TokenRules,
    isWanted: () => boolean,
  ): Promise<Uint8Array | Refused | Failure> {
    const { verifier } = this.#parts;
    const own = ring.find(algorithm, kid);
    const payload = await verifier.verify(token, own, isWanted);
    if (payload !== null) return payload;
    const isOwn = kid !== null && own.some((key) => key.kid === kid);
    // Only for a token that no key of ours may have signed: the URL may be slow, or away.
    const served = jwks === null || isOwn ? [] : await jwks.find(algorithm, kid);
    if (!isWanted()) return GONE;
    const verified = await verifier.verify(token, served, isWanted);
    if (verified !== null) return verified;
    if (!isWanted()) return GONE;
    if (own.length + served.length > 0) return refused('signature', 'its signature does not hold');
    if (jwks !== null && jwks.away !== '') return { ...NO_KEYS, detail: jwks.away };
    const named = kid === null ? '' : ' and its kid';
    return refused('unknown_key', `no key that is known is for ${algorithm}${named}`);
  }
}

/** What a client is told: no more than it needs to get a better one. */
function failureOf({ fault, why }: Refused): Failure {
  const message =
    fault === 'expired'
      ? 'the token has expired'
      : fault === 'missing'
        ? 'a token is needed'
        : fault === 'other_uid'
          ? 'the token is for another user'
          : undefined;
  return { ...failure('BAD_TOKEN', message), detail: `${fault}: ${why}` };
}

/** Of which refusals some lines are logged: tokens that are bad in one way must not hide those that are in another. */
export function lineKindOf({ reason, detail }: Failure): string {
  return reason === 'BAD_TOKEN' ? `${reason} ${detail.slice(0, detail.indexOf(':'))}` : reason;
}
