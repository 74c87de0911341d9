/** Which keys of a session's data events tell: what routes forward anyway, and what the configuration adds. */
import type { Config } from './schema.ts';

/** To the backend of this name, of the end of a session. */
export function keysForBackend(config: Config, name: string): string[] {
  return keysOf(config, (backend) => backend === name);
}

/** On the bus: to whoever may listen there, which is the backends on NATS with the prefix of the bus. */
export function keysForBus(config: Config): string[] {
  return keysOf(config, (name) => {
    const backend = config.backends[name];
    const { prefix } = config.nats;
    return backend?.kind === 'nats' && (backend.nats.prefix ?? prefix) === prefix;
  });
}

function keysOf({ routes, events }: Config, isMeant: (backend: string) => boolean): string[] {
  const keys = new Set(events.data);
  for (const { backend, forward } of routes) {
    const names = typeof backend === 'string' ? [backend] : backend.map((one) => one.backend);
    if (names.some(isMeant)) for (const key of forward) keys.add(key);
  }
  return [...keys];
}
