/** Who may not come in whatever they can prove: kinds of clients, what operators have blocked, and all in maintenance. */
import { type ClientRule, mayConnect } from '../config/client-rules.ts';
import type { Failure } from '../errors.ts';
import type { BlockList } from '../orders/block-list.ts';
import type { Maintenance } from '../orders/maintenance.ts';
import type { HandshakeCode, HandshakeRequest } from '../protocol/handshake.ts';

/** `why`: what the client is told besides the code; `cause`: what the log says. */
export type EntryRefusal = {
  readonly code: HandshakeCode;
  readonly why?: Failure;
  readonly cause: string;
};

export type EntryRulesParts = {
  /** `pomelo.client_types`; empty: all. */
  readonly clientRules: readonly ClientRule[];
  readonly blocks: Pick<BlockList, 'ofClient'>;
  readonly maintenance: Pick<Maintenance, 'handshakeRefusal'>;
};

export class EntryRules {
  readonly #parts: EntryRulesParts;

  constructor(parts: EntryRulesParts) {
    this.#parts = parts;
  }

  /**
   * By what the client says of itself; null: nothing is against it.
   *
   * @param proves It is asked who it is: in maintenance it may be somebody who is served.
   */
  atHandshake(
    { clientType, clientVersion }: HandshakeRequest,
    proves: boolean,
  ): EntryRefusal | null {
    const { clientRules, blocks } = this.#parts;
    const client = `type "${clientType}" in version "${clientVersion}"`;
    if (!mayConnect(clientRules, clientType, clientVersion))
      return { code: 501, cause: `pomelo.client_types does not allow ${client}` };
    const block = blocks.ofClient(clientType, clientVersion);
    if (block !== null) return { code: 501, cause: `${client} is blocked: ${block.value}` };
    return this.#inMaintenance(proves ? undefined : '');
  }

  /** By who it has turned out to be. @param uid '': nobody. */
  whenKnown(uid: string): EntryRefusal | null {
    return this.#inMaintenance(uid);
  }

  #inMaintenance(uid: string | undefined): EntryRefusal | null {
    const closed = this.#parts.maintenance.handshakeRefusal(uid);
    if (closed === null) return null;
    const { code, why } = closed;
    return { code, why, cause: `${why.reason}: ${why.message}` };
  }
}
