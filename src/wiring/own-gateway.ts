/** Makes what operators reach of the gateway itself, through Control. */
import { maskSecrets } from '../config/mask.ts';
import type { OwnGateway } from '../control/gateway-methods.ts';
import { explainRoute } from '../explain/explain-route.ts';
import { playgroundOf } from '../explain/playground.ts';
import { callFor } from '../relay/operator-call.ts';
import type { Relay } from '../relay/relay.ts';
import type { Registry } from '../session/registry.ts';
import type { LevelSwitch } from '../telemetry/level-switch.ts';
import { Profiler } from '../telemetry/profiler.ts';
import type { Live } from '../reload/reload.ts';
import { makeOfProcess, type OfProcessParts } from './worker.ts';

export type OwnGatewayParts = OfProcessParts & {
  readonly info: OwnGateway['info'];
  readonly live: Live;
  /** URLs of the clients' listeners, in the order of `listen`, with real ports. */
  readonly clients: () => readonly string[];
  readonly logLevel: LevelSwitch;
  readonly registry: Registry;
  readonly relay: Relay;
};

export function makeOwnGateway(parts: OwnGatewayParts): OwnGateway {
  const { live, logLevel, registry, relay } = parts;
  return {
    info: () => parts.info(),
    profiler: new Profiler(),
    playground: () => playgroundOf(live.config, parts.clients()),
    config: () => maskSecrets(live.config),
    ...makeOfProcess(parts),
    setLogLevel(level, lastsMs) {
      logLevel.set(level, lastsMs);
      parts.worker?.setLogLevel({ level, lastsMs });
    },
    explain: (route, session) => explainRoute(live.config, route, session),
    call(sid, request) {
      const session = registry.bySid(sid);
      return session === undefined ? null : callFor(relay, session, request);
    },
  };
}
