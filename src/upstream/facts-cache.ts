/** What all messages of a session to one backend have in common, encoded: once, and not for each message. */
import type { SessionFacts } from '../contract/facts.ts';
import type { Call } from './call.ts';

/** @param forward The keys of the session's data that the backend gets. */
export type EncodeFacts<T> = (session: SessionFacts, forward: readonly string[]) => T;

export class FactsCache<T> {
  readonly #encode: EncodeFacts<T>;
  #facts!: T;
  #version = -1;
  #forward: readonly string[] | null = null;

  constructor(encode: EncodeFacts<T>) {
    this.#encode = encode;
  }

  /** Encoded again when the session has changed, or the route forwards something else. */
  of({ session, target }: Call): T {
    const isFresh = this.#version === session.version && this.#forward === target.forward;
    return isFresh ? this.#facts : this.#renew(session, target.forward);
  }

  #renew(session: SessionFacts, forward: readonly string[]): T {
    this.#facts = this.#encode(session, forward);
    this.#version = session.version;
    this.#forward = forward;
    return this.#facts;
  }
}
