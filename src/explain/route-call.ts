/** What of a backend would be called for a route: a subject, a method, a path. For those who explain routes. */
import type { Config } from '../config/schema.ts';
import type { BackendConfig, GrpcBackendConfig } from '../config/schema-backends.ts';
import { isReserved } from '../routing/reserved.ts';
import { isRoute, RENAMED_BYTES_MAX } from '../routing/route.ts';
import type { Target } from '../routing/rule.ts';
import { Paths } from '../upstream/http/path.ts';
import { Subjects } from '../upstream/nats/subjects.ts';

/** The call that a message would lead to. */
export type RouteCall = {
  readonly target: Target;
  /** As the backend sees it. */
  readonly route: string;
  /** '': any. */
  readonly instance: string;
};

export type Described = {
  readonly text: string;
  /** Where it is called; '': nowhere that has an address. */
  readonly address: string;
  readonly isReached: boolean;
};

export async function describeCall(config: Config, call: RouteCall): Promise<Described> {
  const backend = config.backends[call.target.backend]!;
  if (!isRoute(call.route, RENAMED_BYTES_MAX))
    return missed(`404 NO_ROUTE: "${call.route}" is not a valid route`);
  if (isReserved(call.route)) return missed(`404 NO_ROUTE: ${OWN_NAMES}`);
  if (backend.kind === 'http' && isOwnHttpPath(backend.http, call))
    return missed(
      `404 NO_ROUTE: its path is one of the gateway's own, /pith/connect or /pith/closed`,
    );
  if (backend.kind === 'grpc' && backend.mode === 'method') return methodCall(backend, call);
  return { ...callText(config, backend, call), isReached: true };
}

/** Why a client's route that begins with `pith` goes nowhere. */
export const OWN_NAMES = 'routes that begin with pith are reserved for the gateway';

function isOwnHttpPath(url: string, { route, target }: RouteCall): boolean {
  const paths = new Paths(new URL(url).pathname);
  return paths.isOwn(paths.of(route, target.path));
}

function callText(
  config: Config,
  backend: BackendConfig,
  call: RouteCall,
): { text: string; address: string } {
  const { target, route, instance } = call;
  switch (backend.kind) {
    case 'grpc': {
      const address = backend.grpc;
      return backend.mode === 'link'
        ? {
            text: `grpc ${address}, on the stream of method /pith.v1.Backend/Link, or method /pith.v1.Backend/Handle if it has no Link`,
            address,
          }
        : { text: `grpc ${address}, method /pith.v1.Backend/Handle`, address };
    }
    case 'nats': {
      const subjects = new Subjects(backend.nats.prefix ?? config.nats.prefix, config.id);
      const subject = instance === '' ? subjects.rpc(route) : subjects.rpcTo(instance, route);
      return { text: `nats, subject ${subject}`, address: subject };
    }
    case 'http': {
      const { origin, pathname } = new URL(backend.http);
      const address = `${origin}${new Paths(pathname).of(route, target.path)}`;
      return { text: `http, POST ${address}`, address };
    }
    case 'ipc':
      return { text: `ipc ${backend.ipc}, a line with "cmd":"${route}"`, address: backend.ipc };
    case 'reply':
      return { text: `a fixed answer, ${JSON.stringify(backend.reply)}`, address: '' };
    case 'gate': {
      const { advertise } = backend.gate;
      const own = Object.entries(advertise).flatMap(([name, address]) =>
        address === '' ? [] : [`${name} ${address}`],
      );
      return {
        text: `the public address of a ready gateway, the less loaded of two; of this one ${own.join(', ')}`,
        address: '',
      };
    }
    case 'dial_in':
      return {
        text: 'on the stream of /pith.v1.Gateway/Attach, which the backend opens itself',
        address: '',
      };
  }
}

async function methodCall(backend: GrpcBackendConfig, call: RouteCall): Promise<Described> {
  // Loaded only here, because it brings in a protobuf library.
  const { findMethod } = await import('../upstream/method/schema-check.ts');
  const found = await findMethod(backend, call.target.method, call.route);
  if ('why' in found) return missed(`404 NO_ROUTE: ${found.why}`);
  const kind =
    found.kind === null
      ? ', if the backend has it (its reflection is not queried here)'
      : found.kind === 'unary'
        ? ''
        : ', server-streaming';
  return {
    text: `grpc ${backend.grpc}, method ${found.path}${kind}`,
    address: backend.grpc,
    isReached: true,
  };
}

function missed(text: string): Described {
  return { text, address: '', isReached: false };
}
