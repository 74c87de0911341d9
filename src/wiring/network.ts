/** What touches sockets: a gateway is given it, and all its other parts are the same whatever is behind it. */
import {
  type ClientListener,
  Listener,
  type ListenerOptions,
  type ListenerParts,
} from '../transport/listener.ts';
import type { Config } from '../config/schema.ts';
import type { ConnectGrpc } from '../upstream/grpc-client/grpc-connection.ts';
import type { DialNats } from '../upstream/nats/nats-connection.ts';
import { type Resolver, resolverOf } from '../upstream/pool/resolver.ts';
import { type ControlParts, type ControlPorts, makeControlPorts } from './control.ts';
import { type Kinds, makeKinds } from './kinds.ts';

export type Network = {
  /** Of what `grpc` of a backend says, unless it is a service in Consul. */
  readonly resolverOf: (url: string) => Resolver;
  readonly connectGrpc: ConnectGrpc;
  readonly dialNats: DialNats;
  readonly makeListener: (options: ListenerOptions, parts: ListenerParts) => ClientListener;
  /** Control, admin and health. None listens before it is asked to. */
  readonly makeControlPorts: (parts: ControlParts) => ControlPorts;
};

/** That of the machine, with what `config` needs. Rejects when a module cannot be loaded. */
export async function makeSystem(config: Config): Promise<{ network: Network; kinds: Kinds }> {
  const kinds = makeKinds();
  await kinds.load(config);
  const network: Network = {
    resolverOf,
    connectGrpc: (...dial) => kinds.get('grpcClient').connectGrpc(...dial),
    dialNats: (...dial) => kinds.get('natsClient').dialNats(...dial),
    makeListener: (options, parts) => new Listener(options, parts),
    makeControlPorts,
  };
  return { network, kinds };
}
