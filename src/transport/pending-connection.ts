/** A connection that nobody has taken over yet: it counts, and it has only so long. */
import type { Socket } from 'node:net';

import { WheelEntry } from '../timer-wheel.ts';
import type { Peer } from './transport.ts';

/**
 * silent: its first byte is awaited, or the first one inside TLS · tls: in its handshake · http: in its request, or
 * in the preface of HTTP/2 · kept: it has been answered, and may ask again.
 */
export type Stage = 'silent' | 'tls' | 'http' | 'kept';

export class PendingConnection extends WheelEntry implements Peer {
  /** As the kernel gave it, below any TLS. */
  readonly raw: Socket;
  readonly remoteAddress: string;
  secure = false;
  stage: Stage = 'silent';
  /** What its handshake of TLS is known by; empty before and after. */
  tlsPeerKey = '';
  /** It was told no, and has yet to go. */
  refused = false;
  /** It was here long enough to be crowded out. */
  ripe = false;
  /** It ended before anybody had taken it over. */
  onClosed: () => void = ignore;
  /** Somebody has taken it over, or it is on its way out. */
  onSettled: () => void = ignore;
  readonly #onLate: (pending: PendingConnection) => void;

  constructor(raw: Socket, onLate: (pending: PendingConnection) => void) {
    super();
    this.raw = raw;
    this.remoteAddress = plainAddress(raw.remoteAddress ?? '');
    this.#onLate = onLate;
  }

  onLate(): void {
    this.#onLate(this);
  }
}

/** A client of IPv4 is known by one address, whichever port it came to: `::ffff:192.0.2.1` is 192.0.2.1. [RFC 4291 2.5.5.2] */
export function plainAddress(address: string): string {
  return /^::ffff:(?=\d+\.\d+\.\d+\.\d+)/i.test(address) ? address.slice(7) : address;
}

function ignore(): void {}
