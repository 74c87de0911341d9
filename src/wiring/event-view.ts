/** Makes what events on the bus tell of a session. */
import { keysForBus } from '../config/event-keys.ts';
import type { Config } from '../config/schema.ts';
import type { EventView } from '../contract/event-json.ts';

/** Events on the bus tell what routes to backends on NATS forward, and what is configured besides. */
export function makeEventView(config: Config): EventView {
  return { data: keysForBus(config), groups: config.events.groups };
}
