/**
 * What only some configurations need: loaded for those, before the gateway is made or a reload applied. Together these
 * modules and their libraries would take as much memory as all the rest.
 */
import type { Config } from '../config/schema.ts';

const MODULES = {
  adminApi: () => import('../control/admin-api.ts'),
  busApi: () => import('../control/service.ts'),
  consul: () => import('../discovery/consul.ts'),
  controlServer: () => import('../control/server.ts'),
  dialIn: () => import('../upstream/dial-in/dial-in-upstream.ts'),
  grpc: () => import('../upstream/grpc/grpc-upstream.ts'),
  grpcClient: () => import('../upstream/grpc-client/grpc-js-connection.ts'),
  http: () => import('../upstream/http/http-upstream.ts'),
  ipc: () => import('../upstream/ipc/ipc-upstream.ts'),
  jwt: () => import('../reload/live-tokens.ts'),
  method: () => import('../upstream/method/method-upstream.ts'),
  nats: () => import('./nats.ts'),
  natsUpstream: () => import('../upstream/nats/nats-upstream.ts'),
  natsClient: () => import('../upstream/nats/dial.ts'),
};

type Name = keyof typeof MODULES;
type Modules = { readonly [name in Name]: Awaited<ReturnType<(typeof MODULES)[name]>> };

export type Kinds = {
  /** Loads what `config` needs and is not there yet. Rejects when a module cannot be loaded. */
  load(config: Config): Promise<void>;
  /** Loads it, if it is not there yet: what no configuration names, but somebody may ask for. */
  need<One extends Name>(name: One): Promise<Modules[One]>;
  /** @throws {Error} when no configuration that was loaded needs it. */
  get<One extends Name>(name: One): Modules[One];
};

/** Nothing is loaded yet. */
export function makeKinds(): Kinds {
  const loaded: Partial<Record<Name, Modules[Name]>> = {};
  const load = async (name: Name): Promise<void> => {
    loaded[name] = await MODULES[name]();
  };
  return {
    async load(config) {
      const missing = [...makeNames(config)].filter((name) => loaded[name] === undefined);
      await Promise.all(missing.map(load));
    },
    async need<One extends Name>(name: One): Promise<Modules[One]> {
      if (loaded[name] === undefined) await load(name);
      return loaded[name] as Modules[One];
    },
    get<One extends Name>(name: One): Modules[One] {
      const module = loaded[name];
      if (module === undefined) throw new Error(`${name} was not loaded`);
      return module as Modules[One];
    },
  };
}

function makeNames({ auth, backends, bus, consul }: Config): Set<Name> {
  const names = new Set<Name>();
  for (const backend of Object.values(backends)) {
    const { kind } = backend;
    if (kind === 'http' || kind === 'ipc') names.add(kind);
    else if (kind === 'dial_in') names.add('dialIn');
    else if (kind === 'grpc')
      names.add('grpcClient').add(backend.mode === 'method' ? 'method' : 'grpc');
  }
  if (auth.mode === 'jwt') names.add('jwt');
  // Control over NATS is loaded though nobody may call it: loading it later would hold up a gateway full of players.
  if (bus !== 'embedded') names.add('nats').add('natsUpstream').add('natsClient').add('busApi');
  if (consul.address !== '') names.add('consul');
  return names;
}
