/** How many sessions a uid may have: what is done before and after a bind, and what other gateways say of it. */
import { ShapeError } from '../contract/json.ts';
import { readObject } from '../contract/json-shapes.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { Session } from '../session/session.ts';
import type { Peers } from './bus.ts';
import { readClaim } from './claims.ts';
import { type Permit, UidAsks } from './uid-asks.ts';
import { UidClaims, type UidClaimsParts } from './uid-claims.ts';

export type UidRuleParts = UidClaimsParts & { readonly peers: Pick<Peers, 'presence'> };

export class UidRule {
  readonly claims: UidClaims;
  /** null: whoever comes is let in. */
  readonly asks: UidAsks | null;
  readonly #gatewayId: string;

  constructor(parts: UidRuleParts) {
    this.#gatewayId = parts.gatewayId;
    this.claims = new UidClaims(parts);
    this.asks = parts.limit.refuses ? new UidAsks(parts) : null;
  }

  /** Binds by `bind` once the uid is free, or says why it is not; null: the session may be bound at once. */
  whenFree<T>(session: Session, uid: string, bind: () => T): Promise<T | Failure> | null {
    return this.asks === null ? null : this.#bindPermitted(this.asks.ask(session, uid), bind);
  }

  async #bindPermitted<T>(asked: Promise<Permit | Failure>, bind: () => T): Promise<T | Failure> {
    const permit = await asked;
    if (isFailure(permit)) return permit;
    try {
      return bind();
    } finally {
      permit.release();
    }
  }

  /**
   * A message of another gateway on `pith.user.<uid>.claim`. Returns what is answered, where it is a question.
   * @throws {ShapeError}
   */
  onClaim(uid: string, payload: Uint8Array): object | Promise<object> | null {
    const fields = readObject(payload);
    const { ask, gateway, sid } = fields;
    if (ask !== undefined && gateway === this.#gatewayId) return null;
    if (ask === 'held') return { held: this.claims.held(uid) };
    // A gateway of another configuration asks: here nobody is refused.
    if (ask === 'alive' && typeof sid === 'string')
      return this.asks?.answer(uid, sid).then((alive) => ({ alive })) ?? null;
    if (ask !== undefined) return null;
    const claim = readClaim(fields);
    if (claim === null) throw new ShapeError('a claim needs sid and bound_at');
    this.claims.hear(uid, claim);
    return null;
  }
}
