/** Sessions and gateways that come and go: each event there is, as a listener on the bus has counted it. */
import { eventually } from '../../support/wait.ts';
import type { Bus } from './buses.ts';
import type { Cases } from './cases.ts';
import { type Player, TableFleet } from './table-fleet.ts';

const BY = 'events';
/** With so much data in each, so many events are more than the 16 MiB that wait. */
const DATA_BYTES = 100_000;
const BINDS = 100;
/** Three signs of life of one gateway: of each other one there are at least these by then. */
const SIGNS = 3;

export type Lives = { readonly fleet: TableFleet; readonly players: readonly Player[] };

export async function lives(bus: Bus, cases: Cases): Promise<Lives> {
  const fleet = await TableFleet.start(
    bus,
    'lives',
    'sessions: { data: 128KiB }\nevents: { data: ["*"] }\ndrain: { budget: 2s, per_second: 10000 }',
  );
  const eventsOf = (player: Player) => (): object => ({ events: fleet.eventsOf(player).join(' ') });
  const ann = await fleet.join('ann', 1);
  await cases.until(BY, 'a client connects', eventsOf(ann), { events: 'opened' });
  await fleet.control(0, 'Bind', { sid: ann.sid, uid: 'ann' });
  await fleet.control(0, 'SetData', { sid: ann.sid, set: { room: 'lobby' } });
  await fleet.control(0, 'Unbind', { sid: ann.sid });
  await cases.until(BY, 'it is bound, changed, unbound', eventsOf(ann), { events: 'opened bound unbound' }); // prettier-ignore
  await fleet.control(0, 'Bind', { sid: ann.sid, uid: 'ann' });
  ann.client.close();
  await cases.until(BY, 'bound again, it hangs up', eventsOf(ann), { events: 'opened bound unbound bound closed' }); // prettier-ignore
  const { uid, data } = fleet.presence.named('session.closed')[0]!.session! as unknown as { uid: string; data: object }; // prettier-ignore
  cases.check(BY, 'what its end says', { uid, data }, { uid: 'ann', data: { room: 'lobby' } });
  cases.check(BY, 'gateways start', ofGateways(fleet), { one: 'ready', two: 'ready', three: 'ready' }); // prettier-ignore
  const before = [0, 1, 2].map((i) => signs(fleet, i));
  await eventually(() => signs(fleet, 0) >= before[0]! + SIGNS, 'signs of life');
  const more = [1, 2].map((i) => signs(fleet, i) - before[i]!);
  cases.check(BY, 'alive: 3 of one; 2 to 4 of the others', { isSo: more.every((n) => n > 1 && n < 5) }, { isSo: true }); // prettier-ignore
  const players = [
    ...[await fleet.join('a1', 0), await fleet.join('b1', 1), await fleet.join('b2', 1)],
    ...[await fleet.join('c1', 2), await fleet.join('c2', 2)],
  ];
  await eventually(() => fleet.presence.sids.length === 5, 'five sessions');
  // The next signs of life say so.
  await fleet.presence.seconds(2, fleet.gateways[0]!.id);
  return { fleet, players };
}

/** The second gateway is killed, and the third loses its connection, with more to tell than can wait. */
export async function goAway({ fleet, players }: Lives): Promise<void> {
  const [, two, three] = fleet.gateways;
  two!.served.running.kill('SIGKILL');
  three!.cable.cut();
  await three!.served.logged('bus connection lost');
  const { sid } = players.find(({ name }) => name === 'c1')!;
  await fleet.control(2, 'SetData', { sid, set: { text: 'x'.repeat(DATA_BYTES) } });
  for (let i = 0; i < BINDS; i++) {
    await fleet.control(2, 'Bind', { sid, uid: `u${i}` });
    await fleet.control(2, 'Unbind', { sid });
  }
}

export async function bothAreLost({ fleet }: Lives, cases: Cases): Promise<void> {
  await cases.until(BY, 'the second is killed, the third cut off', () => ofGateways(fleet), {
    ...{ one: 'ready', two: 'ready lost', three: 'ready lost' },
  });
  const lost = fleet.presence.named('gateway.lost');
  const said = lost.map(
    ({ gateway, by, sessions, term }) =>
      `${gateway} by ${String(by)}: ${String(sessions)}, term ${term}`,
  );
  cases.check(BY, 'of how many sessions, in which term', (fleet.named(said) as string[]).sort(), ['three by one: 2, term 1', 'two by one: 2, term 1']); // prettier-ignore
  await cases.until(BY, 'who is there, by events alone', () => fleet.named(fleet.presence.sids) as object, ['a1']); // prettier-ignore
}

export async function theThirdIsBack({ fleet, players }: Lives, cases: Cases): Promise<void> {
  const { cable, id } = fleet.gateways[2]!;
  cable.mend();
  await cases.until(BY, 'the third is back: its events are missing, from which on is told', () => ofGateways(fleet), {
    ...{ one: 'ready', two: 'ready lost', three: 'ready lost gap returned' },
  }); // prettier-ignore
  const c2 = players.find(({ name }) => name === 'c2')!;
  await cases.until(BY, 'and its sessions are announced again', () => ({ c2: fleet.eventsOf(c2).join(' '), here: fleet.named(fleet.presence.sids) }), { c2: 'opened again', here: ['a1', 'c1', 'c2'] }); // prettier-ignore
  cases.check(BY, 'numbers of events that are neither told nor in a gap', { missing: missing(fleet, id) }, { missing: 0 }); // prettier-ignore
  fleet.gateways[0]!.served.running.kill('SIGTERM');
  await cases.until(BY, 'the first is stopped', () => ({ ...ofGateways(fleet), here: fleet.named(fleet.presence.sids) }), {
    ...{ one: 'ready draining stopped', two: 'ready lost', three: 'ready lost gap returned' },
    here: ['c1', 'c2'],
  }); // prettier-ignore
}

function ofGateways(fleet: TableFleet): Record<string, string> {
  return Object.fromEntries(
    ['one', 'two', 'three'].map((name, i) => [name, fleet.eventsOfGateway(i).join(' ')]),
  );
}

function signs(fleet: TableFleet, i: number): number {
  const { id } = fleet.gateways[i]!;
  return fleet.presence.named('gateway.alive').filter(({ gateway }) => gateway === id).length;
}

/** Between the first and the last number that this gateway has given to an event. */
function missing({ presence }: TableFleet, id: string): number {
  const told = new Set<number>();
  for (const { name, seq, gateway, session, from, to } of presence.all) {
    if ((gateway ?? session?.gateway) !== id || name === 'gateway.lost') continue;
    if (name === 'gateway.gap') for (let n = Number(from); n <= Number(to); n++) told.add(n);
    told.add(Number(seq));
  }
  return Math.max(...told) - told.size;
}
