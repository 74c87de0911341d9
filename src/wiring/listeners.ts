/** Makes the listeners for clients, and a session of every connection that they take. */
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Clock } from '../clock.ts';
import { parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import type { Relay } from '../relay/relay.ts';
import type { Outboxes } from '../session/outboxes.ts';
import type { Registry } from '../session/registry.ts';
import { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { Listener } from '../transport/listener.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ControlPorts } from './control.ts';
import { makeListenerDialects } from './dialects.ts';
import { ConnectAuth, type ConnectAuthOptions } from '../auth/connect-auth.ts';
import { SessionReport } from '../session/session-report.ts';
import { bound, portAddress, listenerOptions, sessionLimits } from './settings.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';

export type ListenersParts = {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly gatewayId: string;
  readonly wheel: TimerWheel;
  readonly outboxes: Outboxes;
  readonly registry: Registry;
  readonly sessionCommands: SessionCommands;
  readonly relay: Relay;
  /** By the backend's ordinal. */
  readonly upstreams: readonly Upstream[];
  readonly metrics: Metrics;
  /** Connections of all listeners together. */
  readonly connectionsMax: number;
};

/** One for each entry of `listen`, in its order. Throws when a Pomelo project's files cannot be used. */
export function makeListeners(parts: ListenersParts): Listener[] {
  const { config, clock, log, wheel, registry, metrics } = parts;
  const limits = sessionLimits(config);
  // What may not be meant in a project's files is said when the configuration is read.
  const dialects = makeListenerDialects(config, clock, () => {});
  const asked = makeAsked(parts);
  const throttle = new LogThrottle(clock);
  const { connections } = config.limits;
  if (connections !== 'auto' && connections > parts.connectionsMax) {
    const what = 'limits.connections is more than there are file descriptors for: raise ulimit -n';
    log.warn({ connections, allowed: parts.connectionsMax, what }, 'connections are limited');
  }
  const report = new SessionReport(parts);
  let sessionsEver = 0;
  const listeners: Listener[] = config.listen.map((listen, i) => {
    const { dialect, ...rules } = dialects[i]!;
    const { handshake: handshakeMs } = config.limits;
    const auth = new ConnectAuth({ ...parts, ...rules, asked, handshakeMs, throttle });
    return new Listener(
      listenerOptions(config, listen),
      { clock, wheel, log },
      {
        // Those that are not sessions yet have their place.
        mayAccept: () =>
          listeners.reduce((sum, { waiting }) => sum + waiting, registry.size) <
          parts.connectionsMax,
        onRefused: (why) => {
          metrics.add('pith_connections_refused_total', [why]);
        },
        accept: (connection) => {
          const session = new Session({
            ...parts,
            n: ++sessionsEver,
            connection,
            dialect,
            auth,
            report,
            limits,
            openedAtWall: clock.wallNow(),
          });
          registry.add(session);
          metrics.add('pith_connections_accepted_total', [connection.transport]);
          session.begin(config.auth.mode !== 'none');
          return session;
        },
      },
    );
  });
  return listeners;
}

/** Each begins one to listen, in the order in which they should; clients come last. */
export function listening(
  config: Config,
  ports: ControlPorts,
  listeners: readonly Listener[],
): (() => Promise<void>)[] {
  const http = (name: 'health' | 'admin') => async () => {
    const where = config[name].listen;
    const { host, port } = parseHostPort(where);
    await bound(`${name}.listen`, where, ports[name].listen(host, port));
  };
  const control = config.control.listen;
  return [
    http('health'),
    http('admin'),
    () => bound('control.listen', control, ports.control.listen(portAddress(control))),
    ...listeners.map(
      (listener, i) => () => bound(`listen[${i}].url`, config.listen[i]!.url, listener.listen()),
    ),
  ];
}

/** The backend that `auth` names. */
function makeAsked({ config, upstreams }: ListenersParts): ConnectAuthOptions['asked'] {
  if (config.auth.mode !== 'connect') return null;
  const ordinal = Object.keys(config.backends).indexOf(config.auth.backend);
  return { upstream: upstreams[ordinal]!, ordinal };
}
