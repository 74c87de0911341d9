/** A backend that serves `pith.v1.Backend`: by Links that are kept open, or by Handle. */
import type { Call } from '../call.ts';
import { type ClientSpan, grpcSpan, serverOf } from '../client-span.ts';
import { type GrpcPoolOptions, makeGrpcPool } from '../grpc-client/grpc-pool.ts';
import type { LinkParts, LinkTransport } from '../link/link-transport.ts';
import { LinkUpstream, type LinkUpstreamOptions } from '../link/link-upstream.ts';
import type { UpstreamInfo } from '../upstream.ts';
import { DialledLink } from './dialled-link.ts';
import { HandleTransport } from './handle-transport.ts';
import { addressOf } from '../pool/pooled-session.ts';
import { UnaryCall } from './unary-calls.ts';

export type GrpcUpstreamOptions = GrpcPoolOptions &
  Pick<LinkUpstreamOptions, 'closedData'> & {
    readonly mode: 'link' | 'handle';
  };

export class GrpcUpstream extends LinkUpstream {
  readonly #server: ClientSpan['attributes'];

  constructor(options: GrpcUpstreamOptions, parts: LinkParts) {
    const Made = options.mode === 'link' ? DialledLink : HandleTransport;
    const pool = makeGrpcPool<LinkTransport>(
      options,
      parts.commands.report,
      (endpoint, transport) => new Made(endpoint, transport, parts),
    );
    super(pool, options);
    this.#server = serverOf(options.url);
  }

  whereTo({ lane }: Call): Readonly<Record<string, string>> {
    const method = `/pith.v1.Backend/${this.pool.keepsOrder ? 'Link' : 'Handle'}`;
    return { method, ...addressOf(lane) };
  }

  clientSpan({ pending }: Call): ClientSpan {
    // Decided with the endpoint: on a Link a request waits in its table, a notify nowhere.
    const method = pending instanceof UnaryCall ? 'Handle' : 'Link';
    return grpcSpan(`pith.v1.Backend/${method}`, this.#server);
  }

  info(): UpstreamInfo {
    return { kind: 'grpc', ...this.pool.count() };
  }

  close(ms: number): Promise<void> {
    return this.pool.close(ms, 'the gateway is stopping');
  }
}
