/** A connection that is not a session yet: it counts, and it has only so long. */
import type { Socket } from 'node:net';

import { WheelEntry } from '../timer-wheel.ts';
import type { Peer } from './transport.ts';

/** silent: its first byte is awaited, or the first one inside TLS · tls: in its handshake · http: in its request. */
export type Stage = 'silent' | 'tls' | 'http';

export class Arrival extends WheelEntry implements Peer {
  /** As the kernel gave it, below any TLS. */
  readonly raw: Socket;
  readonly remoteAddress: string;
  secure = false;
  stage: Stage = 'silent';
  /** What its handshake of TLS is known by; empty before and after. */
  shakingAs = '';
  /** It was told no, and has yet to go. */
  refused = false;
  readonly #onLate: (arrival: Arrival) => void;

  constructor(raw: Socket, onLate: (arrival: Arrival) => void) {
    super();
    this.raw = raw;
    this.remoteAddress = raw.remoteAddress ?? '';
    this.#onLate = onLate;
  }

  onLate(): void {
    this.#onLate(this);
  }
}
