/** A backend that tells a client where to connect: what Pomelo's `gate.gateHandler.queryEntry` answers. */
import { type Failure, failure } from '../errors.ts';
import { clientJsonBytes } from '../protocol/packet.ts';
import type { Call } from './call.ts';
import type { ClientSpan } from './client-span.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from './upstream.ts';

/** Knows the gateways. */
export interface GatewayChoice {
  /** The place for the next client that is connected so; null: there is none. */
  choose(transport: 'ws' | 'wss' | 'tcp' | 'tls'): { host: string; port: number } | null;
  count(): { known: number; ready: number };
}

/** How long a client should wait before it asks again. */
const ASK_AGAIN_MS = 1_000;

export class GateReply implements Upstream {
  readonly oneAtATime = false;
  readonly #gateways: GatewayChoice;

  constructor(gateways: GatewayChoice) {
    this.#gateways = gateways;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    const { transport } = call.session.connection;
    const place = this.#gateways.choose(transport);
    if (place === null) {
      const why = 'no gateway is ready for new clients; try again';
      call.fail(failure('BACKEND_AWAY', why, ASK_AGAIN_MS));
      return;
    }
    const { host, port } = place;
    // Clients on WebSocket make a URL of it, those on TCP dial it.
    const isInUrl = transport === 'ws' || transport === 'wss';
    const written = isInUrl && host.includes(':') ? `[${host}]` : host;
    call.succeed(clientJsonBytes({ code: 200, host: written, port }));
  }

  connect(_ask: ConnectAsk): Promise<Failure> {
    return Promise.resolve(failure('UNSUPPORTED', 'a gate cannot decide who may connect'));
  }

  /** Never asked for: nothing is sent. */
  clientSpan(): ClientSpan {
    return { name: 'gate', attributes: {} };
  }

  /** Its addresses are the gateways with a gate. */
  info(): UpstreamInfo {
    const { known, ready } = this.#gateways.count();
    return { kind: 'gate', addresses: known, healthy: ready };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
