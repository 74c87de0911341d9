/** A port that is not for clients: over TLS alone where it has a certificate, and without it where it has none. */
import type { Socket } from 'node:net';

import type { Clock } from '../clock.ts';
import type { PendingConnection } from './pending-connection.ts';
import { Port, type PortAddress, type PortOptions, type PortParts, type Serve } from './port.ts';
import { beginsTls, TlsEntry, type TlsEntryOptions } from './tls-entry.ts';

export class OperatorPort extends Port {
  readonly #tls: TlsEntry | null;
  readonly #serve: Serve;

  /** @param tls null: no TLS. */
  constructor(
    options: PortOptions,
    tls: TlsEntryOptions | null,
    parts: PortParts & { readonly clock: Clock },
    serve: Serve,
  ) {
    super(options, parts, (...taken) => {
      this.#onFirst(...taken);
    });
    this.#tls = tls && new TlsEntry(tls, this, parts.clock, parts.log);
    this.#serve = serve;
  }

  /** Reads the certificate and binds. Rejects with the certificate's fault, or the operating system's error. */
  override async listen(address: PortAddress): Promise<void> {
    this.#tls?.begin();
    await super.listen(address);
  }

  override stopAccepting(): void {
    this.#tls?.stop();
    super.stopAccepting();
  }

  /** When the certificate expires, in milliseconds since the Unix epoch; null: no TLS. */
  get certificateExpiresAt(): number | null {
    return this.#tls?.expiresAt ?? null;
  }

  /** Reads the certificate's files now instead of at the next check; if they are invalid, the old certificate stays. */
  reloadCertificate(): void {
    this.#tls?.reload();
  }

  #onFirst(pending: PendingConnection, socket: Socket, first: Buffer): void {
    if (pending.secure) this.#serve(pending, socket, first);
    else if (beginsTls(first) && this.#tls !== null) this.#tls.take(pending, first);
    else if (beginsTls(first)) this.refuse(pending, 'tls_on_plain_port');
    else if (this.#tls !== null) this.refuse(pending, 'plain_on_tls_port');
    else this.#serve(pending, socket, first);
  }
}
