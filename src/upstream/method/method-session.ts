/** One session at a backend that is called by its own methods. */
import type { Metadata } from '@grpc/grpc-js';

import type { Lane } from '../../session/lane.ts';
import { type EncodeFacts, FactsCache } from '../facts-cache.ts';
import { PooledSession } from '../pool/pooled-session.ts';
import type { MethodTransport } from './method-transport.ts';
import type { MethodUpstream } from './method-upstream.ts';

export class MethodSession extends PooledSession<MethodTransport> {
  readonly metadata: FactsCache<Metadata>;
  readonly #upstream: MethodUpstream;

  constructor(lane: Lane, upstream: MethodUpstream, encode: EncodeFacts<Metadata>) {
    super(lane);
    this.metadata = new FactsCache(encode);
    this.#upstream = upstream;
  }

  get places(): readonly string[] {
    return this.#upstream.placesOf(this);
  }

  /** The backend is not notified: its own services have no method for that. */
  forget(): void {
    this.#upstream.forget(this);
  }
}
