/** What all messages of a session to one backend have in common, encoded: once, and not for each message. */
import type { SessionFacts } from '../contract/facts.ts';
import type { Target } from '../routing/rule.ts';
import type { Call } from './call.ts';

/** @param forward The keys of the session's data that the backend gets. */
export type EncodeFacts<T> = (session: SessionFacts, forward: readonly string[]) => T;

export class FactsCache<T> {
  readonly #encode: EncodeFacts<T>;
  #facts!: T;
  #version = -1;
  #ordinal = -1;

  constructor(encode: EncodeFacts<T>) {
    this.#encode = encode;
  }

  /** Encoded again when the session has changed, or the route forwards something else. */
  of({ session, target }: Call): T {
    const isFresh = this.#version === session.version && this.#ordinal === target.ordinal;
    return isFresh ? this.#facts : this.#renew(session, target);
  }

  #renew(session: SessionFacts, target: Target): T {
    this.#facts = this.#encode(session, target.forward);
    this.#version = session.version;
    this.#ordinal = target.ordinal;
    return this.#facts;
  }
}
