/** Makes a connection to NATS, once. */
import { readFileSync } from 'node:fs';
import {
  credsAuthenticator,
  NatsConnectionImpl,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  setTransportFactory,
} from 'nats';
import { nodeResolveHost, NodeTransport } from 'nats/lib/node_transport.js';

import { errorText } from '../../errors.ts';

export type DialOptions = {
  readonly servers: readonly string[];
  readonly gatewayId: string;
  readonly inboxPrefix: string;
  /** Path of a credentials file; '' for none. So with the others. */
  readonly creds: string;
  readonly user: string;
  readonly password: string;
  readonly token: string;
  readonly nkey: string;
};

/** How long one server may take to accept the connection. */
const CONNECT_MS_MAX = 5_000;
/** A server that stops answering is noticed within three times this. */
const PING_INTERVAL_MS = 2_500;
const PINGS_UNANSWERED_MAX = 2;

/** Why a connection ended, if neither side gave a reason. */
export const ENDED = 'the server closed the connection before it was ready';

/**
 * Tries the configured servers and then the `others`, each list in random order, until one accepts the connection.
 * Rejects when none does.
 */
export async function dial(
  options: DialOptions,
  others: readonly string[],
): Promise<NatsConnectionImpl> {
  const { servers } = options;
  const transports: NodeTransport[] = [];
  // As the library's own `connect` does it, but sockets are kept track of: the library forgets silent ones.
  setTransportFactory({
    factory: () => {
      const transport = new NodeTransport();
      transports.push(transport);
      return transport;
    },
    dnsResolveFn: nodeResolveHost,
  });
  try {
    const more = others.filter((server) => !servers.includes(server));
    const asked = [...shuffled(servers), ...shuffled(more)];
    return (await NatsConnectionImpl.connect(
      connectionOptions(options, asked),
    )) as NatsConnectionImpl;
  } catch (error) {
    for (const transport of transports) transport.discard();
    throw error;
  }
}

/** The socket of a connection; undefined when it no longer has one. */
export function socketOf(nc: NatsConnectionImpl): NodeTransport['socket'] | undefined {
  return (nc.protocol.transport as NodeTransport).socket;
}

/** The reason, as an operator can act on it. */
export function reasonOf(error: unknown): string {
  const text = errorText(error ?? '');
  return text === '' || text.includes('undefined error') ? ENDED : text;
}

function shuffled(names: readonly string[]): string[] {
  return names
    .map((name) => ({ name, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ name }) => name);
}

function connectionOptions(
  options: DialOptions,
  servers: readonly string[],
): NodeConnectionOptions {
  const authenticator = [];
  // Read for each connection: a file that is renewed counts from the next one on.
  if (options.creds !== '') authenticator.push(credsAuthenticator(readFileSync(options.creds)));
  if (options.nkey !== '') authenticator.push(nkeyAuthenticator(Buffer.from(options.nkey)));
  return {
    servers: [...servers],
    // Configured servers come before those that a server has named.
    noRandomize: true,
    name: `pith/${options.gatewayId}`,
    inboxPrefix: options.inboxPrefix,
    // The gateway's own pushes to all gateways must not come back to it.
    noEcho: true,
    // The gateway itself makes a new connection in place of one that ended: nothing old is left in it.
    reconnect: false,
    timeout: CONNECT_MS_MAX,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: PINGS_UNANSWERED_MAX,
    // Capturing a stack for each request would be the most expensive thing that the gateway does.
    noAsyncTraces: true,
    ...(options.user !== '' && { user: options.user, pass: options.password }),
    ...(options.token !== '' && { token: options.token }),
    ...(authenticator.length > 0 && { authenticator }),
  };
}
