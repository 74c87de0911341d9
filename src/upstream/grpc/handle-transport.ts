/** One address that is called by Handle, Connect and Closed alone. */
import type { Call } from '../call.ts';
import type { GrpcTransportOptions } from '../grpc-client/grpc-transport.ts';
import { RpcTransport } from '../grpc-client/rpc-transport.ts';
import type { LinkParts, LinkTransport } from '../link/link-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import { UnaryCalls } from './unary-calls.ts';

export class HandleTransport extends RpcTransport implements LinkTransport {
  readonly #unary: UnaryCalls;

  constructor(endpoint: TransportOwner, options: GrpcTransportOptions, parts: LinkParts) {
    super(endpoint, 'handle', options);
    this.#unary = new UnaryCalls(this, options, parts);
  }

  get inFlight(): number {
    return this.#unary.inFlight;
  }

  override connect(): void {
    this.#unary.startAgain();
    super.connect();
  }

  send(call: Call, what: Buffer): void {
    this.liveness.begin();
    this.#unary.send(call, what);
  }

  sessionClosed(event: Buffer): void {
    this.#unary.closed(event);
  }

  close(): Promise<void> {
    this.stop();
    return this.#unary.closedAll();
  }
}
