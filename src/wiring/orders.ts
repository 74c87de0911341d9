/** Makes what operators order for the whole fleet. */
import type { Config } from '../config/schema.ts';
import { BlockList } from '../orders/block-list.ts';
import { Evictions } from '../orders/evictions.ts';
import { Maintenance, type Pause } from '../orders/maintenance.ts';
import { Orders } from '../orders/orders.ts';
import type { Fanouts } from '../session/fanouts.ts';
import type { Registry } from '../session/registry.ts';
import type { Shared } from './shared.ts';

/** What is asked of each client; the orders fill it. */
export type Rules = { readonly blocks: BlockList; readonly maintenance: Maintenance };

export function makeRules({ clock, metrics }: Shared): Rules {
  return { blocks: new BlockList(clock, metrics), maintenance: new Maintenance() };
}

export type MakeOrdersParts = Shared &
  Rules & { readonly registry: Registry; readonly fanouts: Fanouts };

export function makeOrders(parts: MakeOrdersParts): Orders {
  const orders = new Orders({ ...parts, evictions: new Evictions(parts) });
  orders.configure(makePause(parts.config));
  return orders;
}

/** null: nothing is in maintenance by the configuration. */
export function makePause({ maintenance }: Config): Pause | null {
  const { enabled, routes, allow_uids: allowUids, message } = maintenance;
  if (!enabled) return null;
  return { routes, allowUids, message, handshakeCode: maintenance.handshake_code };
}
