/** A connection that has not been taken over yet: it counts against the limits and has a deadline. */
import type { Socket } from 'node:net';

import { NOTHING } from '../bytes.ts';
import { plainAddress } from '../ip.ts';
import { WheelEntry } from '../timer-wheel.ts';
import type { Arrival } from './accept-pace.ts';
import type { Peer } from './transport.ts';

/**
 * held: waiting for its turn · silent: waiting for its first byte, the first one after a PROXY header, or inside TLS · proxy: in a PROXY header ·
 * tls: in the TLS handshake · http: in a request, or in the preface of HTTP/2 · kept: it has been answered, and may send
 * another request.
 */
export type Stage = 'held' | 'silent' | 'proxy' | 'tls' | 'http' | 'kept';

export class PendingConnection extends WheelEntry implements Peer, Arrival {
  /** As the kernel gave it, below any TLS. */
  readonly raw: Socket;
  /** The client's as far as it is known: the socket's peer, until a trusted proxy names another. */
  remoteAddress: string;
  secure = false;
  /** What has come of its PROXY header; null: nothing more of one is expected. */
  proxyHeader: Buffer | null = NOTHING;
  stage: Stage = 'silent';
  /** Identifies its TLS handshake; empty before and after. */
  tlsPeerKey = '';
  /** It counts for its address. */
  isCounted = false;
  /** It has been refused, and is not closed yet. */
  refused = false;
  /** It has been here long enough to be crowded out. */
  ripe = false;
  /** Called if it closes before it is taken over. */
  onClosed: () => void = ignore;
  /** Called when it has been taken over, or is being closed. */
  onSettled: () => void = ignore;
  /** Called when it was held, and has its turn. */
  begin: () => void = ignore;
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

function ignore(): void {}
