/** Where the connections of a port come from: from a socket of its own, unless another process listens for this one. */
import net, { type AddressInfo, type Socket } from 'node:net';

import { WRITE_HIGH_WATER_MARK } from './outflow.ts';

/** Where a port listens; `path`: a Unix socket. */
export type PortAddress =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

export interface Acceptor {
  /** Rejects with the operating system's error. @param backlog Connections that the kernel queues. */
  listen(address: PortAddress, backlog: number): Promise<void>;
  /** null: not listening yet, or on a Unix socket. */
  readonly address: AddressInfo | null;
  /** Takes no new connections; open ones stay. */
  stop(): void;
  /** Stops, and resolves when no connection is left. */
  ended(): Promise<void>;
}

/** Who gets the connections. */
export type Door = {
  take(socket: Socket): void;
  /** A connection could not be taken; the port goes on. */
  failed(error: Error): void;
};

export type MakeAcceptor = (door: Door) => Acceptor;

/** Listens itself. */
export class OwnAcceptor implements Acceptor {
  readonly #server: net.Server;
  readonly #door: Door;

  constructor(door: Door) {
    this.#door = door;
    const options = { noDelay: true, highWaterMark: WRITE_HIGH_WATER_MARK };
    this.#server = net.createServer(options, (socket) => {
      door.take(socket);
    });
  }

  async listen(address: PortAddress, backlog: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ ...address, backlog }, () => {
        this.#server.off('error', reject);
        // Otherwise one connection that the system cannot hand over would end the process. [accept(2)]
        this.#server.on('error', (error) => {
          this.#door.failed(error);
        });
        resolve();
      });
    });
  }

  get address(): AddressInfo | null {
    const address = this.#server.address();
    return typeof address === 'string' ? null : address;
  }

  stop(): void {
    this.#server.close();
  }

  ended(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}
