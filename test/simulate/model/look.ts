/** Compares what gateways hold, what the bus knows, what events have said and what clients have seen with the model. */
import { token } from '../backends/nats-text.ts';
import type { SimGateway } from '../gateway.ts';
import type { Fleet } from './fleet.ts';
import type { Ended, Model, ModelSession } from './model.ts';

/** Until what gateways have sent is there. */
const ON_THE_WAY_MS = 25;
/** Within it a loss is told. [proto/README.md] */
const LOST_MS = 10_000;
/** After a change the newest token has come by then: at most one a second is sent. */
export const TOKEN_MS = 1_150;
/** What ends by itself within this time is waited for before anything is counted. */
const SOON_MS = 60;

export function fail(what: string, is: unknown, shouldBe: unknown): never {
  throw new Error(`${what}: is ${JSON.stringify(is)}, should be ${JSON.stringify(shouldBe)}`);
}

export function expectSame(what: string, is: unknown, shouldBe: unknown): void {
  if (JSON.stringify(is) !== JSON.stringify(shouldBe)) fail(what, is, shouldBe);
}

/** What gateways hold, at this moment. The model learns what has ended by itself. */
export function look(fleet: Fleet, model: Model): void {
  for (const [place, gateway] of fleet.gateways) {
    const here = model.at(place);
    if (gateway === null) {
      expectSame(`sessions at ${place}, which is down`, here.map(({ sid }) => sid), []); // prettier-ignore
      continue;
    }
    for (const session of here) lookAt(fleet, model, gateway, session);
    const sids = [...gateway.gateway.registry.all()].map(({ sid }) => sid);
    expectSame(`sessions at ${place}`, sids.sort(), sidsOf(model.at(place)));
    lookAtIndexes(model, gateway);
  }
}

function sidsOf(sessions: readonly ModelSession[]): string[] {
  return sessions.map(({ sid }) => sid).sort();
}

function lookAt(fleet: Fleet, model: Model, gateway: SimGateway, session: ModelSession): void {
  const { sid, silent, uid, groups } = session;
  const real = gateway.gateway.registry.bySid(sid);
  const { nowMs } = fleet;
  if (real === undefined) {
    if (nowMs < silent.fromMs) fail(`${sid} of ${session.guest.name}`, 'gone', 'there');
    model.close(session, 'heartbeat_timeout');
    return;
  }
  if (nowMs > silent.byMs) fail(`${sid}, whose client has vanished`, 'there', 'gone');
  expectSame(`uid of ${sid}`, real.uid, uid);
  const { version, expired } = session;
  if (real.version < version) fail(`version of ${sid}`, real.version, version);
  session.version = real.version;
  for (const [group, { fromMs, byMs }] of groups) {
    const isIn = real.groups.has(group);
    if (isIn && nowMs > byMs) fail(`${sid} in ${group}, whose time is over`, 'in', 'out');
    if (!isIn && nowMs < fromMs) fail(`${sid} in ${group}`, 'out', 'in');
    if (!isIn && groups.delete(group)) session.expired++;
  }
  const isChanged = session.changing.byMs >= session.lookedMs || session.expired > expired;
  if (real.version > version && !isChanged)
    fail(`version of ${sid}, which nobody has changed`, real.version, version);
  session.lookedMs = nowMs;
  expectSame(`groups of ${sid}`, [...real.groups].sort(), [...groups.keys()].sort());
}

/** By user and by group, as pushes find them. */
function lookAtIndexes(model: Model, { place, gateway: { registry } }: SimGateway): void {
  const here = model.at(place);
  for (const uid of new Set(here.map((session) => session.uid))) {
    if (uid === '') continue;
    const found = [...registry.byUid(uid)].map(({ sid }) => sid);
    expectSame(`sessions of ${uid} at ${place}`, found.sort(), sidsOf(here.filter((one) => one.uid === uid))); // prettier-ignore
  }
  const found: [string, number][] = [];
  for (const [name, members] of registry.groups()) found.push([name, members.size]);
  expectSame(`groups at ${place}`, found.sort(byName), countsOf(here));
}

/** Groups and the numbers of their members, by name. */
export function countsOf(sessions: readonly ModelSession[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { groups } of sessions)
    for (const group of groups.keys()) counts.set(group, (counts.get(group) ?? 0) + 1);
  return [...counts].sort(byName);
}

/** As ListGroups sorts. */
function byName([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : 1;
}

/** Waits for what ends by itself soon: whatever is counted then is certain. */
export async function settled(fleet: Fleet, model: Model, soonMs = SOON_MS): Promise<void> {
  for (;;) {
    const { nowMs } = fleet;
    const ends = model.list.flatMap(({ silent, groups }) => [silent, ...groups.values()]);
    const soon = ends.filter(({ fromMs, byMs }) => fromMs <= nowMs + soonMs && byMs >= nowMs);
    if (soon.length === 0) break;
    await fleet.wait(Math.max(...soon.map(({ byMs }) => byMs)) - nowMs + 1);
    look(fleet, model);
  }
  look(fleet, model);
}

// ---- when everything has arrived --------------------------------------------------------------------------

/** Everything that can be compared without asking. */
export async function lookRound(fleet: Fleet, model: Model): Promise<void> {
  await fleet.wait(ON_THE_WAY_MS);
  await settled(fleet, model);
  await fleet.wait(ON_THE_WAY_MS);
  look(fleet, model);
  for (const session of model.list) lookAtToken(fleet, session);
  for (const gateway of fleet.running) lookAtSubscriptions(fleet, model, gateway);
  for (const { guest, sid } of model.list)
    if (!guest.isVanished && !guest.isOpen) fail(`the client of ${sid}`, 'disconnected', 'there');
  lookAtEvents(fleet, model);
  for (const ended of model.ended.splice(0)) lookAtEnd(fleet, ended);
  lookAtLosses(fleet);
}

/** A change of what it says brings a new one. */
export function lookAtToken({ nowMs }: Fleet, { sid, guest, changing }: ModelSession): void {
  const { isOpen, token } = guest;
  if (token === null || !isOpen || nowMs - changing.byMs < TOKEN_MS) return;
  if (token.atMs < changing.fromMs)
    fail(`the token of ${sid}, changed at ${changing.fromMs}`, token.atMs, 'newer');
}

/** The name as it stands, which is listened to as well: of these names it is one token, and not how it is encoded. */
const BARE = ['zoë'];

/** One for each user and group with a session there, and its own. */
function lookAtSubscriptions(fleet: Fleet, model: Model, gateway: SimGateway): void {
  const here = model.at(gateway.place);
  const uids = new Set(here.map(({ uid }) => uid).filter((uid) => uid !== ''));
  const groups = countsOf(here).map(([group]) => group);
  const wanted = [
    ...fleet.base(gateway),
    ...[...uids].map((uid) => `pith.user.${token(uid)}.*`),
    ...BARE.filter((name) => uids.has(name)).map((name) => `pith.user.${name}.*`),
    ...groups.map((group) => `pith.group.${token(group)}.*`),
    ...BARE.filter((name) => groups.includes(name)).map((name) => `pith.group.${name}.*`),
  ];
  const is = fleet.subscriptions(gateway);
  const extra = difference(is, wanted);
  const missing = difference(wanted, is);
  if (extra.length + missing.length > 0)
    fail(`subscriptions of ${gateway.place}`, `too many ${extra.join()}`, `too few ${missing.join()}`); // prettier-ignore
}

/** What is in `all` more often than in `others`. */
function difference(all: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return all.filter((one) => {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function lookAtEvents({ heard, killed, running }: Fleet, model: Model): void {
  expectSame('events that nobody may say', heard.wrong, []);
  for (const {
    gateway: { id },
    place,
  } of running) {
    const is = [...(heard.here.get(id) ?? [])].map(([sid, uid]) => `${sid} ${uid}`);
    const shouldBe = model.at(place).map(({ sid, uid }) => `${sid} ${uid}`);
    expectSame(`sessions of ${place} by its events`, is.sort(), shouldBe.sort());
  }
  const ids = new Set(running.map(({ gateway: { id } }) => id));
  for (const [id, sids] of heard.here)
    if (!ids.has(id) && (!killed.has(id) || heard.lost.has(id)))
      expectSame(`sessions of ${id}, which is over, by its events`, [...sids.keys()], []);
  for (const { sid, told } of model.list)
    expectSame(`events of ${sid}`, heard.told.get(sid) ?? [], told);
}

function lookAtEnd(fleet: Fleet, { session, reason }: Ended): void {
  const { sid, told, guest } = session;
  const is = fleet.heard.told.get(sid) ?? [];
  fleet.heard.told.delete(sid);
  // What a gateway has said last may have died with it.
  if (reason === '') expectSame(`events of ${sid}`, is, told.slice(0, is.length));
  else expectStory(sid, is, told, reason.split('|'));
  if (guest.hasLeft) return;
  if (guest.isOpen) fail(`the client of ${sid}, which has ended by ${reason}`, 'there', 'gone');
  if (reason === 'logged_in_elsewhere' && guest.isActive)
    expectSame(`the kick of ${sid}`, guest.kicked, JSON.stringify({ reason }));
}

/** @param reasons One of which is that of its end. */
function expectStory(sid: string, is: string[], told: string[], reasons: string[]): void {
  const why = reasons.find((reason) => is.at(-1) === `closed ${reason}`) ?? reasons[0]!;
  expectSame(`events of ${sid}`, is, [...told.slice(0, -1), `closed ${why}`]);
}

function lookAtLosses(fleet: Fleet): void {
  const { heard, killed, lostMayBe, nowMs, onBusMs, pausedMs, running } = fleet;
  const ids = running.map(({ gateway: { id } }) => id);
  for (const gateway of heard.lost.keys()) {
    if (!killed.has(gateway) && !lostMayBe.has(gateway))
      fail(`${gateway}, which runs`, 'said to be lost', 'there');
  }
  for (const [gateway, { atMs, witnesses }] of killed) {
    if (heard.lost.has(gateway)) continue;
    // A gateway with a new connection waits as long again. [src/bus/gateway-watch.ts]
    const isLate = (one: string): boolean =>
      nowMs > Math.max(atMs, onBusMs.get(one)!, pausedMs) + LOST_MS;
    if (witnesses.some((one) => ids.includes(one) && isLate(one)))
      fail(`the loss of ${gateway}`, `not told after ${Math.round(nowMs - atMs)} ms`, 'told');
  }
}
