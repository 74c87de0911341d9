/** One address that is called by Handle, Connect and Closed alone. */
import type { EventKind } from '../../contract/event-frames.ts';
import type { GrpcTransportOptions } from '../grpc-client/grpc-transport.ts';
import { RpcTransport } from '../grpc-client/rpc-transport.ts';
import type { LinkParts, LinkTransport } from '../link/link-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import { UnaryCalls } from './unary-calls.ts';

export class HandleTransport extends RpcTransport implements LinkTransport {
  readonly carrier: UnaryCalls;

  constructor(endpoint: TransportOwner, options: GrpcTransportOptions, parts: LinkParts) {
    super(endpoint, 'handle', options);
    this.carrier = new UnaryCalls(this, options, parts);
  }

  get inFlight(): number {
    return this.carrier.inFlight;
  }

  protected override ready(): void {
    this.carrier.startAgain();
    super.ready();
  }

  tell(kind: EventKind, event: Buffer): void {
    this.carrier.tell(kind, event);
  }

  close(): Promise<void> {
    this.stop();
    return this.carrier.closedAll();
  }
}
