/** Makes the bus, and what is done over it: commands to the sessions of this gateway, and to those of the whole fleet. */
import type { Bus } from '../bus/bus.ts';
import { EmbeddedBus } from '../bus/embedded-bus.ts';
import { Gate, type GateParts } from '../bus/gate.ts';
import { PassableCommands } from '../bus/passable-commands.ts';
import { FleetWatches } from '../bus/fleet-watches.ts';
import { SessionCommands } from '../bus/session-commands.ts';
import { UidRule } from '../bus/uid-rule.ts';
import type { Capacity } from '../config/auto-limits.ts';
import { advertisedAddresses } from '../config/gates.ts';
import { parseBus } from '../config/address.ts';
import { parseResumeKey } from '../config/resume-keys.ts';
import type { Random } from '../random.ts';
import { Resume } from '../resume/resume.ts';
import { Fanouts } from '../session/fanouts.ts';
import type { Outboxes } from '../session/outboxes.ts';
import type { LiveTokens } from '../reload/live-tokens.ts';
import { Registry } from '../session/registry.ts';
import { SnapshotJoins } from '../session/snapshot-joins.ts';
import type { Placement } from '../placement/placement.ts';
import { makeMayShowBodies } from './control.ts';
import type { Nats } from './nats.ts';
import { makePlacement } from './placement.ts';
import type { Orders } from '../orders/orders.ts';
import { Watches } from '../watch/watches.ts';
import { makeOrders, makeRules, type Rules } from './orders.ts';
import { PushTraces } from '../telemetry/push-traces.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { Shared } from './shared.ts';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_LETTERS = 10;

export type BusParts = {
  readonly bus: Bus;
  /** null: no backend is one. */
  readonly gate: Gate | null;
  /** null: no server at all. */
  readonly nats: Nats | null;
  readonly registry: Registry;
  readonly fanouts: Fanouts;
  readonly sessionCommands: SessionCommands;
  readonly fleetCommands: PassableCommands;
  /** null: clients get no tokens to come back with. */
  readonly resume: Resume | null;
  readonly joins: SnapshotJoins;
  /** Where newcomers should go. */
  readonly placement: Placement;
  readonly orders: Orders;
  /** What operators look at, here and of the whole fleet. */
  readonly watches: Watches;
  readonly fleetWatches: FleetWatches;
} & Rules;

export type MakeBusParts = Shared & {
  readonly capacity: Capacity;
  readonly outboxes: Outboxes;
  /** null: clients need no tokens. */
  readonly liveTokens: LiveTokens | null;
  /** null: no traces. */
  readonly tracing: Tracing | null;
};

/** `prefix`, and letters that no other gateway has. */
export function makeGatewayId(prefix: string, random: Random): string {
  let letters = '';
  // 248 is the largest multiple of 62 in a byte: no letter is likelier than another.
  while (letters.length < RANDOM_LETTERS)
    for (const byte of random.bytes(16)) if (byte < 248) letters += BASE62[byte % 62];
  return `${prefix}-${letters.slice(0, RANDOM_LETTERS)}`;
}

export function makeBus(shared: MakeBusParts): BusParts {
  const { config, gatewayId, clock, outboxes } = shared;
  const { data: dataBytesMax, groups: groupsMax, group_ttl: groupTtlMs } = config.sessions;
  const address = parseBus(config.bus);
  const nats =
    address.kind === 'nats' ? shared.kinds.get('nats').makeNats(address.servers, shared) : null;
  const gate = makeGate(shared, nats, () => {
    const { size } = registry;
    const noKeys = shared.liveTokens?.notReady ?? '';
    const isOpen = bus.notReady === '' && placement.elsewhere === '' && noKeys === '';
    return { sessions: size, room: isOpen ? shared.capacity.connections - size : 0 };
  });
  const bus = nats?.bus ?? new EmbeddedBus(gate);
  const registry = new Registry(gatewayId, bus.subscriptions, bus.events);
  const rules = makeRules(shared);
  const limits = { dataBytesMax, groupsMax, uidRefusal: rules.blocks.uidRefusal };
  const uids = makeUidRule(shared, registry, bus);
  const replay = nats?.bus.replay ?? undefined;
  const { per_turn: perTurn, waiting: waitingBytesMax } = config.limits.fanout;
  const fanouts = new Fanouts(clock, outboxes, { perTurn, waitingBytesMax });
  const made = { ...shared, registry, fanouts, uids, replay };
  const watches = new Watches({
    ...{ gatewayId, clock, registry },
    mayShowBodies: makeMayShowBodies(shared),
  });
  const pushTraces = shared.tracing && new PushTraces(shared.tracing, clock);
  const sessionCommands = new SessionCommands({
    ...{ ...made, limits, groupTtlMs, pushTraces },
    watching: watches,
  });
  const orders = makeOrders({ ...made, ...rules });
  nats?.bus.attachOrders(orders);
  nats?.bus.attach(registry, sessionCommands, { gate, uids, watches });
  const placement = makePlacement({ ...shared, nats, registry });
  const fleetCommands = makeCommands(shared, sessionCommands, bus);
  const fleetWatches = new FleetWatches({ ...shared, watches, channel: bus.watching });
  const resume = makeResume(shared, { bus, nats, registry, sessionCommands });
  const bytesMax = config.limits.outbox;
  const joins = new SnapshotJoins({ ...shared, registry, sessionCommands, bytesMax });
  return {
    ...{ bus, gate, nats, registry, fanouts, sessionCommands, fleetCommands, resume, joins },
    ...{ ...rules, orders, placement, watches, fleetWatches },
  };
}

/** Those of a successor wait until it has all from the process before. */
function makeCommands(
  { config, gatewayId, log, successor }: Shared,
  sessionCommands: SessionCommands,
  bus: Bus,
): PassableCommands {
  const commands = new PassableCommands(gatewayId, sessionCommands, bus, config.log.client_ip);
  commands.onRefused = (what, why) => {
    log.warn({ what, why }, 'a command that came during an upgrade is refused');
  };
  if (successor !== undefined) commands.passage.hold();
  return commands;
}

function makeResume(
  shared: Shared,
  parts: Pick<BusParts, 'bus' | 'nats' | 'registry' | 'sessionCommands'>,
): Resume | null {
  const { window: windowMs, keys } = shared.config.sessions.resume;
  if (windowMs === 0) return null;
  const { bus, nats } = parts;
  const resume = new Resume({
    ...shared,
    ...parts,
    ...{ windowMs, keys: keys.map(parseResumeKey), peers: bus.peers, news: bus.lineages },
    replay: nats?.bus.replay ?? undefined,
  });
  nats?.bus.attachLineages(resume);
  return resume;
}

function makeGate(shared: Shared, nats: Nats | null, load: GateParts['load']): Gate | null {
  const backend = Object.values(shared.config.backends).find((one) => one.kind === 'gate');
  if (backend === undefined) return null;
  const addresses = advertisedAddresses(backend);
  const publish = (payload: Buffer): void => nats?.bus.publishGate(payload);
  return new Gate({ ...shared, addresses, load, publish });
}

/** undefined: a uid may have any number of sessions. */
function makeUidRule(shared: Shared, registry: Registry, bus: Bus): UidRule | undefined {
  const { sessions_per_uid: policy, max_sessions_per_uid: max } = shared.config.auth;
  const sessionsMax = policy === 'many' ? max : 1;
  if (sessionsMax === 0) return undefined;
  const uids = new UidRule({
    ...shared,
    limit: { refuses: policy === 'refuse_new', sessionsMax },
    registry,
    channel: bus.claims,
    peers: bus.peers,
    events: bus.events,
  });
  uids.claims.start();
  return uids;
}
