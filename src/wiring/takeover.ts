/** Makes both ends of a takeover, of the parts that a gateway is made of. */
import { inBackground } from '../background.ts';
import { NOTHING } from '../bytes.ts';
import type { PassableCommands } from '../bus/passable-commands.ts';
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Faults } from '../faults.ts';
import type { Orders } from '../orders/orders.ts';
import type { Backends } from '../reload/backends.ts';
import type { Resume } from '../resume/resume.ts';
import type { FrozenLane, FrozenSession } from '../session/frozen.ts';
import { freezeSession, leaveSession, thawSession } from '../session/life.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { SnapshotJoins } from '../session/snapshot-joins.ts';
import { NewBus, OldBus, type Tappable } from '../takeover/bus-passage.ts';
import type { BusState } from '../takeover/gateway-state.ts';
import { HandOver, type HandOverParts } from '../takeover/hand-over.ts';
import type { FromNew, FromOld, Line } from '../takeover/line.ts';
import { readKey, writeKey } from '../takeover/session-state.ts';
import type { TakeOverParts } from '../takeover/take-over.ts';
import { Subjects } from '../upstream/nats/subjects.ts';
import type { Nats } from './nats.ts';
import { makeListenerPrints } from './dialects.ts';
import type { Listeners } from './listeners.ts';
import type { Shared } from './shared.ts';

export type MakeTakeoverParts = Shared & {
  readonly nats: Nats | null;
  readonly registry: Registry;
  readonly sessionCommands: SessionCommands;
  readonly fleetCommands: PassableCommands;
  readonly joins: SnapshotJoins;
  readonly resume: Resume | null;
  readonly orders: Orders;
  readonly backends: Backends;
  readonly faults: Faults;
  readonly listeners: Listeners;
  readonly shutdown: HandOverParts['shutdown'] & { leave(): Promise<void> };
};

/** Entries of the list of sessions that may not come back. */
const ENDED_MAX = 100_000;

export function makeHandOver(parts: MakeTakeoverParts, line: Line<FromOld, FromNew>): HandOver {
  const { gatewayId, clock, live, nats, orders, resume, listeners, worker } = parts;
  return new HandOver(
    {
      ...parts,
      commands: parts.fleetCommands.passage,
      leaveBackends: () => parts.backends.close(),
      listeners: makeListenerPrints(live.config),
      newcomers: {
        hold: async () => worker?.holdNewcomers(),
        waiting: () => listeners.all.reduce((sum, { waiting }) => sum + waiting, 0),
      },
      closedAtOnceMax: live.config.drain.per_second,
      bus: nats && makeOldBus(parts, nats),
      freeze: (session) => makeFrozen(parts, session, clock.now()),
      state: () => ({
        ...{ id: gatewayId, sessionsEver: listeners.ever.sessions },
        orders: [...orders.replica.entries()],
        ended: resume?.ended.page(0, ENDED_MAX).ended ?? [],
      }),
    },
    line,
  );
}

function makeOldBus(parts: MakeTakeoverParts, nats: Nats): OldBus {
  const { clock } = parts;
  const { bus, answers } = nats;
  const state = (): BusState => ({
    ...{ seq: bus.events.seq, announced: bus.events.sessions, ...bus.watch.self },
    calls: answers.calls.last,
  });
  const stopSigns = (): void => bus.beStill();
  return new OldBus(makeTappable(nats, parts), { clock, state, stopSigns });
}

function makeTappable({ connector }: Nats, { gatewayId, config }: Shared): Tappable {
  // Other gateways do not know it, and ignore it.
  const mark = new Subjects(config.nats.prefix, gatewayId).fleet(`takeover-${gatewayId}`);
  const { subscriptions } = connector;
  return {
    get up() {
      return connector.up;
    },
    get tap() {
      return subscriptions.tap;
    },
    set tap(tap) {
      subscriptions.tap = tap;
    },
    deliver: (tapped) => subscriptions.deliver(tapped),
    mark: async () => {
      const aside = await connector.aside();
      aside.publish(mark, NOTHING);
      await aside.flush();
      await aside.close();
    },
    isMark: ({ subject }) => subject === mark,
    drain: () => connector.drain(),
  };
}

function makeFrozen(
  { resume, backends }: MakeTakeoverParts,
  session: Session,
  now: number,
): FrozenSession {
  const lanes: FrozenLane[] = [];
  for (const { name, ordinal } of backends.facts()) {
    const places = session.lanes[ordinal]?.backendSession?.places ?? [];
    if (places.length > 0) lanes.push({ backend: name, places });
  }
  return {
    ...freezeSession(session, now),
    ...{ publicKey: writeKey(session.publicKey), resuming: resume?.freeze(session) ?? null, lanes },
  };
}

/** What the new process needs to be the gateway. */
export function makeTakeOver(parts: MakeTakeoverParts): TakeOverParts {
  const { nats, orders, resume, listeners, fleetCommands } = parts;
  return {
    ...parts,
    commands: {
      carryOut: (command) => {
        fleetCommands.carryOut(command);
      },
      goOn: () => {
        // One that was blocked while it moved is here still.
        inBackground(orders.evictLate(), parts.faults.onFault);
        fleetCommands.passage.goOn();
      },
    },
    bus: nats && {
      isDialled: () => nats.connector.canConfirm,
      open: () => {
        for (const one of new Set([nats.connector, nats.requests])) one.open();
      },
      isUp: () => nats.connector.up && nats.requests.up,
      cross: (onMarked) => new NewBus(makeTappable(nats, parts), onMarked),
    },
    restore: ({ sessionsEver, bus, orders: ordered, ended }) => {
      listeners.ever.sessions = sessionsEver;
      orders.replica.merge(ordered);
      for (const one of ended) resume?.ended.add(one);
      for (const one of parts.backends.dialIn) one.awaitReturn();
      if (bus === null || nats === null) return;
      nats.bus.events.goOn(bus.seq, bus.announced);
      nats.bus.watch.self = bus;
      nats.answers.calls.last = bus.calls;
    },
    adopt: (handle, client) => listeners.adopt(handle, client),
    drop: (session) => {
      leaveSession(session);
      parts.registry.remove(session);
    },
    thaw: (frozen, { session, counts }) => {
      const now = parts.clock.now();
      Object.assign(counts, { readBytes: frozen.readBytes, sentBytes: frozen.sentBytes });
      thawSession(session, frozen, { now, publicKey: readKey(frozen.publicKey) });
      makeAttached(parts, session, frozen, now);
    },
  };
}

/** Those who keep account of it know it. */
function makeAttached(
  parts: MakeTakeoverParts,
  session: Session,
  frozen: FrozenSession,
  now: number,
): void {
  parts.sessionCommands.thaw(session, frozen);
  if (frozen.deltas !== null) parts.joins.thaw(session, frozen.deltas, now);
  if (frozen.resuming !== null) parts.resume?.thaw(session, frozen.resuming);
  const backends = parts.backends.backends();
  for (const { backend, places } of frozen.lanes) {
    const known = backends.get(backend);
    if (known !== undefined) known.upstream.knownAt?.(session.lane(known.ordinal), places);
  }
}
