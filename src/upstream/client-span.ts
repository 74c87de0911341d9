/**
 * What the CLIENT span of a traced call is called, and says of where the call goes.
 * [opentelemetry.io/docs/specs/semconv: RPC, HTTP and messaging spans]
 */

export type ClientSpan = {
  /** One of few: nothing that a client may choose. */
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number>>;
};

/** @param method In full, as `pith.v1.Backend/Link`. @param server What `serverOf` gave; empty: nothing was dialled. */
export function grpcSpan(method: string, server: ClientSpan['attributes']): ClientSpan {
  return {
    name: method,
    attributes: { 'rpc.system.name': 'grpc', 'rpc.method': method, ...server },
  };
}

/** The server that a configured gRPC address names: a host with its port, a socket's path, or a name that is looked up. */
export function serverOf(url: string): ClientSpan['attributes'] {
  const name = url
    .replace(/^(unix:(\/\/)?|(dns|ipv4|ipv6|consul):(\/\/[^/]*\/)?)/, '')
    .split('?', 1)[0]!;
  // Several addresses have one text: they are one group of servers.
  const [, host, port] = /^(?:\[([^\]]+)\]|([^:,]+)):(\d+)$/.exec(name)?.filter(Boolean) ?? [];
  if (host === undefined) return { 'server.address': name };
  return { 'server.address': host, 'server.port': Number(port) };
}
