/** Makes what puts another configuration into effect. */
import { isDeepStrictEqual } from 'node:util';

import type { Capacity } from '../config/auto-limits.ts';
import { formatPath } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { parseResumeKey } from '../config/resume-keys.ts';
import { readBlocksFile } from '../orders/blocks-file.ts';
import type { Orders } from '../orders/orders.ts';
import type { Relay } from '../relay/relay.ts';
import type { Backends } from '../reload/backends.ts';
import type { PreparedTokens } from '../reload/live-tokens.ts';
import { type ReadConfig, Reload } from '../reload/reload.ts';
import type { Resume } from '../resume/resume.ts';
import type { LevelSwitch } from '../telemetry/level-switch.ts';
import { makeEventView } from './event-view.ts';
import type { Nats } from './nats.ts';
import { makeAccessRules, type OperatorAccess } from './control.ts';
import type { Listeners } from './listeners.ts';
import { makeAdmissionLimits, makeKeptTraces } from './relay.ts';
import { makePause } from './orders.ts';
import type { Shared } from './shared.ts';
import type { MadeTokens } from './tokens.ts';

export type MakeReloadParts = Shared & {
  /** Absent: the configuration stays as it is. */
  readonly readConfig?: ReadConfig;
  readonly capacity: Capacity;
  readonly relay: Relay;
  readonly backends: Backends;
  readonly access: OperatorAccess;
  readonly listeners: Listeners;
  /** null: clients need no tokens. */
  readonly tokens: MadeTokens | null;
  readonly nats: Nats | null;
  readonly orders: Orders;
  readonly logLevel: LevelSwitch;
  /** null: no client can come back. */
  readonly resume: Resume | null;
  readonly refusal: () => string;
};

/** No session is touched: what is in flight ends as it began, and what comes next goes by the new configuration. */
export function makeReload(parts: MakeReloadParts): Reload {
  const { access, clock, kinds, live, logLevel, backends, listeners, nats, orders, tokens } = parts;
  const { admission, report, shedding } = parts.relay.parts;
  const read = parts.readConfig ?? (() => Promise.resolve(live));
  const use = (config: Config, next: PreparedTokens | null): void => {
    const before = live.config;
    live.config = config;
    admission.limits = makeAdmissionLimits(config, parts.capacity);
    shedding.setLimit(config.limits.event_loop_lag);
    report.tellsRefs = config.telemetry.refs;
    report.traces?.keep(makeKeptTraces(config));
    listeners.setLimits(config);
    for (const name of ['control', 'admin'] as const)
      access[name].setRules(makeAccessRules(name, config));
    next?.use();
    const { keys } = config.sessions.resume;
    if (!isDeepStrictEqual(keys, before.sessions.resume.keys))
      parts.resume?.setKeys(keys.map(parseResumeKey));
    if (nats !== null) nats.bus.events.view = makeEventView(config);
    if (!isDeepStrictEqual(config.maintenance, before.maintenance))
      orders.configure(makePause(config));
    logLevel.configure(config.log.level);
  };
  const apply = async (config: Config): Promise<string[]> => {
    await kinds.load(config);
    const blocks = await readBlocksFile(config.blocks.file, clock);
    const next = (await tokens?.live.prepare(config)) ?? null;
    try {
      let isOtherFile = false;
      const remade = await backends.replace(config, () => {
        use(config, next);
        isOtherFile = orders.setFile(blocks);
      });
      const names = remade.map((name) => formatPath(['backends', name]));
      return [...names, ...(next?.changed ?? []), ...(isOtherFile ? ['blocks.file'] : [])];
    } catch (error) {
      next?.drop();
      throw error;
    }
  };
  return new Reload({ ...parts, read, apply });
}
