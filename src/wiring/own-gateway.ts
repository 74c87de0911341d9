/** Makes what operators reach of the gateway itself, through Control. */
import type { FleetCommands } from '../bus/fleet-commands.ts';
import { maskSecrets } from '../config/mask.ts';
import type { OwnGateway } from '../control/gateway-methods.ts';
import { explainRoute } from '../explain/explain-route.ts';
import { playgroundOf } from '../explain/playground.ts';
import { callFor } from '../relay/operator-call.ts';
import type { Relay } from '../relay/relay.ts';
import type { Registry } from '../session/registry.ts';
import type { LevelSwitch } from '../telemetry/level-switch.ts';
import type { Orders } from '../orders/orders.ts';
import { Profiler } from '../telemetry/profiler.ts';
import type { Live } from '../reload/reload.ts';
import { Siblings, type SiblingsParts } from '../workers/siblings.ts';
import type { Shared } from './shared.ts';
import { makeOfProcess, type OfProcessParts } from './worker.ts';

export type OwnGatewayParts = OfProcessParts &
  Pick<Shared, 'clock' | 'gatewayId'> & {
    readonly info: OwnGateway['info'];
    readonly live: Live;
    /** URLs of the clients' listeners, in the order of `listen`, with real ports. */
    readonly clients: () => readonly string[];
    readonly logLevel: LevelSwitch;
    readonly registry: Registry;
    readonly relay: Relay;
    readonly orders: Orders;
    readonly fleetCommands: FleetCommands;
  };

export function makeOwnGateway(parts: OwnGatewayParts): OwnGateway {
  const { live, logLevel, registry, relay, orders, fleetCommands } = parts;
  const { worker, clock, gatewayId } = parts;
  const profiler = new Profiler();
  const call: SiblingsParts['call'] = (sid, request) => {
    const session = registry.bySid(sid);
    if (session === undefined) return null;
    return fleetCommands.inTurn(() => callFor(relay, session, request));
  };
  const pause: SiblingsParts['pause'] = (one) => {
    orders.pauseHere(one);
  };
  const siblings = worker && new Siblings({ worker, gatewayId, clock, profiler, call, pause });
  return {
    info: () => parts.info(),
    workers: async () => (await worker?.workers().catch(() => [])) ?? [],
    profilerOf: (n) => (n === 0 ? profiler : (siblings?.profilerOf(n) ?? profiler)),
    playground: () => playgroundOf(live.config, parts.clients()),
    config: () => maskSecrets(worker?.config ?? live.config),
    ...makeOfProcess(parts),
    setLogLevel(level, lastsMs) {
      logLevel.set(level, lastsMs);
      worker?.setLogLevel({ level, lastsMs });
    },
    pauseHere(one) {
      const refused = orders.pauseHere(one);
      if (refused === null) worker?.setPause({ pause: one });
      return refused;
    },
    explain: (route, session) => explainRoute(live.config, route, session),
    call: async (sid, request) =>
      (await call(sid, request)) ?? (await siblings?.call(sid, request)) ?? null,
  };
}
