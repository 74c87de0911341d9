/** Makes what puts another configuration into effect. */
import type { Config } from '../config/schema.ts';
import type { Relay } from '../relay/relay.ts';
import type { Backends } from '../reload/backends.ts';
import { type ReadConfig, Reload } from '../reload/reload.ts';
import { makeEventView, type Nats } from './bus.ts';
import { makeAccessRules, type OperatorAccess } from './control.ts';
import type { Listeners } from './listeners.ts';
import { makeAdmissionLimits, makeKeptTraces } from './relay.ts';
import type { Shared } from './shared.ts';

export type MakeReloadParts = Shared & {
  /** Absent: the configuration stays as it is. */
  readonly readConfig?: ReadConfig;
  readonly relay: Relay;
  readonly backends: Backends;
  readonly access: OperatorAccess;
  readonly listeners: Listeners;
  readonly nats: Nats | null;
  readonly refusal: () => string;
};

/** No session is touched: what is in flight ends as it began, and what comes next goes by the new configuration. */
export function makeReload(parts: MakeReloadParts): Reload {
  const { access, live, log, backends, listeners, nats } = parts;
  const { admission, report, shedding } = parts.relay.parts;
  const read = parts.readConfig ?? (() => Promise.resolve(live));
  const apply = (config: Config): Promise<string[]> =>
    backends.replace(config, () => {
      const before = live.config;
      live.config = config;
      admission.limits = makeAdmissionLimits(config);
      shedding.setLimit(config.limits.event_loop_lag);
      report.traces?.keep(makeKeptTraces(config));
      listeners.setLimits(config);
      for (const name of ['control', 'admin'] as const)
        access[name].setRules(makeAccessRules(name, config));
      if (nats !== null) nats.bus.events.view = makeEventView(config);
      if (config.log.level === before.log.level) return;
      log.level = config.log.level;
      report.logLevelChanged();
    });
  return new Reload({ ...parts, read, apply });
}
