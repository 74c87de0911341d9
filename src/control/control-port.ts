/**
 * The control port. What serves it is loaded for its first connection: most gateways never get one, and it takes a
 * third of the memory of a gateway at rest.
 */
import type { Socket } from 'node:net';

import { inBackground } from '../background.ts';
import { type Clock, within } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import type { PortAddress } from '../transport/port.ts';
import { GrpcPort } from './grpc-port.ts';
import type { MakePort } from './http.ts';
import type { ControlServer } from './server.ts';

/** How long open streams may take to end when the server stops, in milliseconds. */
const SHUTDOWN_MS = 500;

export type ControlPortParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly makePort: MakePort;
  /** Loads the server and makes it. @param settle Whoever may call, by the peer that gRPC names, is not crowded out any more. */
  readonly makeServer: (settle: (peer: string) => void) => Promise<ControlServer>;
  /** Backends attach here: the server is there before the port listens. */
  readonly isNeeded: boolean;
};

export class ControlPort {
  readonly #parts: ControlPortParts;
  readonly #grpcPort: GrpcPort;
  #loading: Promise<ControlServer> | null = null;
  #server: ControlServer | null = null;
  #serving: readonly [serving: boolean, takesNewcomers: boolean] = [false, false];
  #isClosed = false;

  constructor(parts: ControlPortParts) {
    this.#parts = parts;
    this.#grpcPort = new GrpcPort(parts.makePort, (socket) => {
      this.#take(socket);
    });
  }

  /** Rejects with the operating system's error. */
  async listen(address: PortAddress): Promise<void> {
    if (this.#parts.isNeeded) await this.#load();
    await this.#grpcPort.port.listen(address);
  }

  /** The actual port; 0 on a Unix socket. */
  get port(): number {
    return this.#grpcPort.port.address?.port ?? 0;
  }

  get certificateExpiresAt(): number | null {
    return this.#grpcPort.port.certificateExpiresAt;
  }

  reloadCertificate(): void {
    this.#grpcPort.port.reloadCertificate();
  }

  /** What the health service answers. @param takesNewcomers Of the gateway, the service `''`; that of Control is `serving`. */
  setServing(serving: boolean, takesNewcomers = serving): void {
    this.#serving = [serving, takesNewcomers];
    this.#server?.setServing(serving, takesNewcomers);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const { port } = this.#grpcPort;
    port.closeWaiting();
    this.#server?.stop();
    // Waits for open streams, such as a health Watch, and so is bounded.
    if (this.#server !== null)
      await within(this.#parts.clock, SHUTDOWN_MS, port.ended(), undefined);
    this.#server?.cutOff();
    await port.close();
  }

  #take(socket: Socket): void {
    if (this.#server !== null) {
      this.#server.take(socket);
      return;
    }
    const taken = this.#load().then((server) => {
      // It may have gone, or been cut off.
      if (!socket.destroyed && !this.#isClosed) server.take(socket);
    });
    inBackground(taken, (error: unknown) => {
      this.#parts.log.error({ err: error }, 'the control port cannot serve gRPC');
      socket.destroy();
    });
  }

  #load(): Promise<ControlServer> {
    return (this.#loading ??= this.#make());
  }

  async #make(): Promise<ControlServer> {
    const server = await this.#parts.makeServer((peer) => {
      this.#grpcPort.settle(peer);
    });
    server.setServing(...this.#serving);
    this.#server = server;
    return server;
  }
}
