/** A connection that has not been taken over yet: it counts against the limits and has a deadline. */
import type { Socket } from 'node:net';

import { WheelEntry } from '../timer-wheel.ts';
import type { Peer } from './transport.ts';

/**
 * silent: waiting for its first byte, or the first one inside TLS · tls: in the TLS handshake · http: in a request, or
 * in the preface of HTTP/2 · kept: it has been answered, and may send another request.
 */
export type Stage = 'silent' | 'tls' | 'http' | 'kept';

export class PendingConnection extends WheelEntry implements Peer {
  /** As the kernel gave it, below any TLS. */
  readonly raw: Socket;
  readonly remoteAddress: string;
  secure = false;
  stage: Stage = 'silent';
  /** Identifies its TLS handshake; empty before and after. */
  tlsPeerKey = '';
  /** It has been refused, and is not closed yet. */
  refused = false;
  /** It has been here long enough to be crowded out. */
  ripe = false;
  /** Called if it closes before it is taken over. */
  onClosed: () => void = ignore;
  /** Called when it has been taken over, or is being closed. */
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

/** An IPv4 client has the same address on IPv6 sockets too: `::ffff:192.0.2.1` is 192.0.2.1. [RFC 4291 2.5.5.2] */
export function plainAddress(address: string): string {
  return /^::ffff:(?=\d+\.\d+\.\d+\.\d+)/i.test(address) ? address.slice(7) : address;
}

function ignore(): void {}
