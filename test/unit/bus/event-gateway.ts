/** A gateway that tells of its sessions on the exchange in memory. */
import { NatsBus } from '../../../src/bus/nats-bus.ts';
import { SessionCommands } from '../../../src/bus/session-commands.ts';
import type { EventView } from '../../../src/contract/event-json.ts';
import { Registry } from '../../../src/session/registry.ts';
import type { Session } from '../../../src/session/session.ts';
import { ManualClock } from '../../support/clock.ts';
import { ACK, connect, HANDSHAKE, makeOutboxes, RecordingHost, turn } from '../session/support.ts';
import { Exchange, makeParts, type Sent } from './support.ts';

export type Told = { readonly name: string; readonly [field: string]: unknown };

type Choice = {
  readonly view?: EventView;
  readonly exchange?: Exchange;
  readonly clock?: ManualClock;
};

export function makeEventGateway(gatewayId: string, choice: Choice = {}) {
  const { view, exchange = new Exchange(), clock = new ManualClock(1_000) } = choice;
  const made = makeParts(gatewayId, exchange, clock);
  const { parts, log, metrics, connector } = made;
  const bus = new NatsBus(parts, view);
  const { events } = bus;
  const registry = new Registry(gatewayId, bus.subscriptions, events);
  const limits = { dataBytesMax: 1_048_576, groupsMax: 10_000 };
  const { outboxes, fanouts } = makeOutboxes(clock);
  const sessionCommands = new SessionCommands({
    ...{ registry, limits, groupTtlMs: 0, clock, wheel: parts.wheel, log, metrics, fanouts },
  });
  bus.attach(registry, sessionCommands);
  bus.start();
  const world = { clock, wheel: parts.wheel, outboxes, fanouts, registry };
  const host = new RecordingHost(events);
  /** A client before its handshake. */
  const connectOne = (n: number): Session => {
    const { session } = connect({ world, host, n, gatewayId });
    registry.add(session);
    return session;
  };
  /** The same after it. */
  const open = (n: number): Session => {
    const session = connectOne(n);
    session.onBytes(Buffer.concat([HANDSHAKE, ACK]));
    return session;
  };
  /** NATS has answered every round trip. */
  const confirm = async (): Promise<void> => {
    for (;;) {
      const flushes = connector.flushes.splice(0);
      if (flushes.length === 0) return;
      for (const flush of flushes) flush.resolve();
      await turn();
    }
  };
  const breaks = async (): Promise<void> => {
    connector.up = false;
    for (const listener of connector.listeners) listener.onDown?.();
    const gone = new Error('the connection was closed');
    for (const flush of connector.flushes.splice(0)) flush.reject(gone);
    await turn();
  };
  const comesBack = (): void => {
    connector.up = true;
    for (const listener of connector.listeners) listener.onUp?.(false);
  };
  return {
    ...made,
    ...{ bus, events, registry, sessionCommands },
    ...{ connect: connectOne, open, confirm, breaks, comesBack },
  };
}

/** What was told since the last call, in order, without signs of life. */
export function told(exchange: Exchange): Told[] {
  return toldOn(exchange.takeSent()).filter(({ name }) => name !== 'gateway.alive');
}

/** What these messages tell. */
export function toldOn(sent: readonly Sent[]): Told[] {
  return sent.flatMap(({ subject, payload }) => {
    const name = /^pith\.event\.(.*)$/.exec(subject)?.[1];
    return name === undefined ? [] : [{ name, ...(JSON.parse(payload) as object) }];
  });
}

/** `session.opened 1` for each: its name and its number. */
export function namesOf(events: readonly Told[]): string[] {
  return events.map(({ name, seq }) => `${name} ${String(seq)}`);
}
