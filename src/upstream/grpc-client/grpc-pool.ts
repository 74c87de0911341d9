/** The endpoints of a backend that is dialled by gRPC, in whichever mode. */
import { Metadata } from '@grpc/grpc-js';

import type { BackendReport } from '../backend-report.ts';
import { EndpointPool, type PoolOptions } from '../pool/endpoint-pool.ts';
import type { Resolver } from '../pool/resolver.ts';
import type { AffinityOptions } from '../pool/session-affinity.ts';
import type { Transport, TransportOwner } from '../pool/transport.ts';
import type { ClientTls } from '../../transport/pem.ts';
import type { ConnectGrpc } from './grpc-connection.ts';
import type { GrpcTransportOptions } from './grpc-transport.ts';
import type { HealthMode } from './health-watch.ts';

export type GrpcPoolOptions = PoolOptions &
  AffinityOptions & {
    readonly connect: ConnectGrpc;
    readonly resolver: Resolver;
    /** Sent with every call. */
    readonly metadata: Readonly<Record<string, string>>;
    /** null: in plain text. */
    readonly tls: ClientTls | null;
    readonly health: HealthMode;
    readonly deadAfterMs: number;
  };

export function makeGrpcPool<T extends Transport>(
  options: GrpcPoolOptions,
  report: BackendReport,
  make: (owner: TransportOwner, options: GrpcTransportOptions) => T,
): EndpointPool<T> {
  const transport = {
    ...options,
    metadata: fixedMetadata(options.metadata),
    authority: options.resolver.authority,
  };
  return new EndpointPool<T>(options, report, {
    resolver: options.resolver,
    makeTransport: (owner) => make(owner, transport),
  });
}

/** What the configuration adds to every call. */
export function fixedMetadata(record: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(record)) metadata.set(name, value);
  return metadata;
}
