/** Commands that ask who is there, and pushes, which say it by whom they reach. */
import fc from 'fast-check';

import { token } from '../backends/nats-text.ts';
import {
  aim,
  commandsOf,
  group,
  namesNobody,
  nth,
  pick,
  placesOf,
  targetOf,
  UIDS,
  uid,
} from './command.ts';
import type { Fleet } from './fleet.ts';
import { countsOf, expectSame, fail, settled } from './look.ts';
import type { Model, ModelSession } from './model.ts';
import type { Json } from './operator.ts';

const there = (model: Model): boolean => model.sessions.size > 0;
/** All pages, where each waits for a gateway that is silent. */
const PAGES_MS = 6_000;
/** Until a push has arrived. */
const PUSH_MS = 15;

async function control(fleet: Fleet, method: string, json: object): Promise<Json> {
  const [answer] = await fleet.within(method, fleet.operator.ask(`pith.control.${method}`, json));
  if (answer === undefined || 'error' in answer) fail(method, answer, 'an answer');
  return answer;
}

/** Calls no longer name who was said to be lost so long ago; a new gateway is not told of it. [src/bus/known-gateways.ts] */
const NAMED_MS = 60_000;
const NAMED_LATE_MS = 1_000;

/** A gateway that is reported silent was killed: it has not missed enough calls yet, or is still named for a minute. */
function expectSilent(what: string, fleet: Fleet, answer: Json): void {
  for (const id of answer['silent_gateways'] as string[]) {
    if (!fleet.killed.has(id)) fail(`${what}: silent`, id, 'nobody who was not killed');
    if (isLongGone(fleet, id)) fail(`${what}: silent`, id, 'nobody who is lost for long');
  }
}

function isLongGone(fleet: Fleet, id: string): boolean {
  const atMs = fleet.lostMs.get(id) ?? Infinity;
  return fleet.nowMs > atMs + NAMED_MS + NAMED_LATE_MS && allKnowThatItIsLost(fleet, atMs);
}

/** Each has heard it, or has begun after that. */
export function allKnowThatItIsLost({ onBusMs, running, startedMs }: Fleet, atMs: number): boolean {
  return running.every(({ gateway: { id } }) => {
    const sinceMs = onBusMs.get(id)!;
    return sinceMs < atMs || sinceMs === startedMs.get(id);
  });
}

/** A gateway that is new does not know those that were lost before, and waits for none of them. */
export async function askNew(fleet: Fleet, place: string): Promise<void> {
  const { gateway, fleetCommands } = fleet.gateways.get(place)!;
  const outcome = await fleet.within('presence', fleetCommands.presence(['ann']));
  const silent = 'users' in outcome ? [...outcome.silentGateways] : ['no answer'];
  for (const id of silent) {
    const atMs = fleet.lostMs.get(id) ?? Infinity;
    if (atMs < fleet.begunMs.get(gateway.id)! && allKnowThatItIsLost(fleet, atMs))
      fail(`silent for ${gateway.id}, which is new`, id, 'nobody who was lost before');
  }
}

// ---- presence ---------------------------------------------------------------------------------------------

type Entry = { readonly sid: string; readonly gateway: string; readonly bound_at: string };
type Presence = { readonly sessions: number; readonly sids: string[]; readonly entries: Entry[] };

export async function askPresence(fleet: Fleet, model: Model): Promise<void> {
  const answer = await control(fleet, 'GetPresence', { uids: [...UIDS, 'nobody'] });
  const presence = answer['presence'] as Record<string, Presence>;
  const online = UIDS.filter((one) => model.of(one).length > 0);
  expectSame('who is online', Object.keys(presence).sort(), [...online].sort());
  for (const one of online) {
    const sids = model.of(one).map(({ sid }) => sid);
    const { sessions, sids: named, entries } = presence[one]!;
    expectSame(`sessions of ${one}`, sessions, sids.length);
    expectSame(`sids of ${one}`, [...named].sort(), [...sids].sort());
    expectSame(`entries of ${one}`, entries.map(({ sid }) => sid), named); // prettier-ignore
    for (const { sid, gateway } of entries)
      expectSame(`the gateway of ${sid}`, gateway, sid.slice(0, sid.lastIndexOf('.')));
    const times = entries.map(({ bound_at: at }) => Date.parse(at));
    expectSame(`order of ${one}`, times, times.toSorted((a, b) => a - b)); // prettier-ignore
  }
  expectSame('gateways that answer', answer['gateways'], fleet.running.length);
  expectSilent('presence', fleet, answer);
}

const presence = commandsOf({
  name: 'ask presence',
  weight: 5,
  args: fc.constant(null),
  run: async (model, fleet) => {
    await settled(fleet, model);
    if (fleet.running.length > 0) await askPresence(fleet, model);
  },
});

// ---- lists ------------------------------------------------------------------------------------------------

type GroupLine = { readonly name: string; readonly sessions: number; readonly gateways: number };

export async function askGroups(
  fleet: Fleet,
  model: Model,
  prefix: string,
  limit: number,
): Promise<void> {
  // prettier-ignore
  const found: GroupLine[] = [];
  let pageToken = '';
  for (let pages = 0; pages < 20; pages++) {
    const answer = await control(fleet, 'ListGroups', { prefix, limit, page_token: pageToken });
    expectSilent('groups', fleet, answer);
    const page = answer['groups'] as GroupLine[];
    if (page.length > limit) fail('groups on a page', page.length, `at most ${limit}`);
    found.push(...page);
    pageToken = answer['next_page_token'] as string;
    if (pageToken === '') break;
  }
  const shouldBe = countsOf(model.list)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, sessions]) => [name, sessions, placesOf(model.select({ groups: [name] })).size]);
  expectSame(`groups ${prefix}`, found.map(({ name, sessions, gateways }) => [name, sessions, gateways]), shouldBe); // prettier-ignore
}

const groupList = commandsOf({
  name: 'ask groups',
  weight: 4,
  args: fc.record({ prefix: fc.constantFrom('', 'room.', 'room.1', 'x'), limit: fc.constantFrom(1, 2, 100) }), // prettier-ignore
  run: async (model, fleet, { prefix, limit }) => {
    await settled(fleet, model, PAGES_MS);
    if (fleet.running.length > 0) await askGroups(fleet, model, prefix, limit);
  },
});

type SessionLine = { readonly sid: string; readonly uid: string; readonly groups: string[] };

export async function askSessions(
  fleet: Fleet,
  model: Model,
  target: object,
  limit: number,
): Promise<void> {
  // prettier-ignore
  const found: SessionLine[] = [];
  let pageToken = '';
  for (let pages = 0; pages < 20; pages++) {
    const question = { target, limit, page_token: pageToken };
    const answer = await control(fleet, 'ListSessions', question);
    expectSilent('sessions', fleet, answer);
    found.push(...(answer['sessions'] as SessionLine[]));
    pageToken = answer['next_page_token'] as string;
    if (pageToken === '') break;
  }
  const all = Object.keys(target).length === 0 || isEmpty(target);
  const shouldBe = model
    .select(all ? { ...target, all: true } : target)
    .sort(bySid)
    .map(lineOf);
  expectSame(`sessions of ${JSON.stringify(target)}`, found.map(({ sid, uid: whose, groups }) => [sid, whose, [...groups].sort()]), shouldBe); // prettier-ignore
}

function isEmpty(target: {
  sids?: unknown[];
  uids?: unknown[];
  groups?: unknown[];
  all?: boolean;
}): boolean {
  // prettier-ignore
  const { sids = [], uids = [], groups = [], all = false } = target;
  return !all && sids.length + uids.length + groups.length === 0;
}

function lineOf({ sid, uid: whose, groups }: ModelSession): [string, string, string[]] {
  return [sid, whose, [...groups.keys()].sort()];
}

/** By gateway, then as they were opened. */
function bySid({ sid: a }: ModelSession, { sid: b }: ModelSession): number {
  const [dotA, dotB] = [a.lastIndexOf('.'), b.lastIndexOf('.')];
  const [gatewayA, gatewayB] = [a.slice(0, dotA), b.slice(0, dotB)];
  if (gatewayA !== gatewayB) return gatewayA < gatewayB ? -1 : 1;
  return Number(a.slice(dotA + 1)) - Number(b.slice(dotB + 1));
}

const sessionList = commandsOf({
  name: 'ask sessions',
  weight: 4,
  args: fc.record({ aim, limit: fc.constantFrom(1, 3, 1_000) }),
  run: async (model, fleet, { aim: aimed, limit }) => {
    await settled(fleet, model, PAGES_MS);
    if (fleet.running.length > 0) await askSessions(fleet, model, targetOf(model, aimed), limit);
  },
});

const session = commandsOf({
  name: 'ask of one',
  weight: 4,
  args: fc.record({ of: nth, by: fc.constantFrom('control', 'verb', 'user') }),
  can: there,
  run: async (model, fleet, { of, by }) => {
    await settled(fleet, model);
    if (!there(model)) return;
    const one = pick(model.list, of);
    const [line] = await askOf(fleet, one, by);
    expectSame(`${one.sid} by ${by}`, line && [line.sid, line.uid, [...line.groups].sort()], lineOf(one)); // prettier-ignore
  },
});

async function askOf(
  fleet: Fleet,
  { sid, uid: whose, place }: ModelSession,
  by: string,
): Promise<SessionLine[]> {
  // prettier-ignore
  if (by === 'control') return [(await control(fleet, 'GetSession', { sid })) as SessionLine];
  const isUser = by === 'user' && whose !== '';
  const subject = isUser ? `pith.user.${token(whose)}.get` : `pith.session.${sid}.get`;
  // Each gateway that has the user answers, in whatever order.
  const id = fleet.gateways.get(place)!.gateway.id;
  const answers = await fleet.within(subject, fleet.operator.ask(subject, '', isUser ? await holders(fleet, whose) : 1)); // prettier-ignore
  const all = answers.flatMap((answer) => answer['sessions'] as SessionLine[]);
  return all.filter((line) => line.sid === sid && line.sid.startsWith(`${id}.`));
}

async function holders({ running }: Fleet, whose: string): Promise<number> {
  return running.filter(({ gateway: { registry } }) => registry.byUid(whose).size > 0).length;
}

// ---- the gate ---------------------------------------------------------------------------------------------

/** Nobody is sent to a gateway that was not heard for this long. [src/bus/gate.ts] */
const STALE_MS = 4_000;
const ON_THE_WAY_MS = 50;

/** A client is sent to a gateway that runs, or was killed so short a time ago that nobody knows. */
export async function askGate(
  fleet: Fleet,
  { guest }: ModelSession,
  isDraining = '',
): Promise<void> {
  // prettier-ignore
  const { code, host } = await fleet.within('a gate', guest.ask('gate.gateHandler.queryEntry', '{}')); // prettier-ignore
  expectSame('the code of a gate', code, 200);
  const places = fleet.running.map(({ place }) => place).filter((place) => place !== isDraining);
  for (const [id, { atMs }] of fleet.killed)
    if (fleet.nowMs - atMs < STALE_MS + ON_THE_WAY_MS) places.push(id.slice(0, id.indexOf('-')));
  if (!places.includes(host)) fail('where a gate sends its clients', host, places);
}

const gate = commandsOf({
  name: 'ask gate',
  weight: 3,
  args: nth,
  can: (model) => model.list.some(({ guest }) => guest.isOpen),
  run: async (model, fleet, of) => {
    await settled(fleet, model);
    const able = model.list.filter(({ guest }) => guest.isOpen);
    if (able.length > 0) await askGate(fleet, pick(able, of));
  },
});

// ---- pushes -----------------------------------------------------------------------------------------------

let pushes = 0;

const push = commandsOf({
  name: 'push',
  weight: 10,
  args: fc.record({ aim, by: fc.constantFrom('control', 'fleet'), at: nth }),
  run: async (model, fleet, { aim: aimed }) => {
    await settled(fleet, model);
    const target = targetOf(model, aimed);
    if (fleet.running.length === 0 || namesNobody(target)) return;
    const body = `{"p":${++pushes}}`;
    const meant = model.select(target);
    const request = { push: { target, route: 'onPush', body: { json: JSON.parse(body) as object } } }; // prettier-ignore
    const answer = await control(fleet, 'Push', request);
    const what = `push to ${JSON.stringify(target)}`;
    expectSame(`${what}: delivered`, answer['delivered'], meant.length);
    expectSame(`${what}: refused`, [answer['dropped'], answer['refused']], [0, 0]);
    const unknown = [...new Set(target.uids)].filter((one) => model.of(one).length === 0);
    expectSame(`${what}: unknown uids`, [...new Set(answer['unknown_uids'] as string[])].sort(), unknown.sort()); // prettier-ignore
    await expectGot(fleet, model, { what, body, meant });
  },
});

/** Those that are meant have got it once, and nobody else has. */
async function expectGot(
  fleet: Fleet,
  model: Model,
  { what, body, meant }: { what: string; body: string; meant: readonly ModelSession[] },
): Promise<void> {
  await fleet.wait(PUSH_MS);
  for (const { sid, guest } of model.list) {
    if (guest.isVanished) continue;
    const times = guest.got.filter((one) => one === body).length;
    const should = Number(meant.some((one) => one.sid === sid));
    if (times !== should) fail(`${what} at ${sid}`, `got ${times} times`, `got ${should} times`);
    guest.got.length = 0;
  }
}

const verbPush = commandsOf({
  name: 'push by a verb',
  weight: 8,
  args: fc.record({
    kind: fc.constantFrom('session', 'user', 'group', 'all'),
    ...{ of: nth, uid, group, isCounted: fc.boolean() },
  }),
  can: there,
  run: async (model, fleet, { kind: scope, of, uid: whose, group: which, isCounted }) => {
    await settled(fleet, model);
    if (!there(model)) return;
    const { sid } = pick(model.list, of);
    const [subject, target] = {
      session: [`session.${sid}`, { sids: [sid] }] as const,
      user: [`user.${token(whose)}`, { uids: [whose] }] as const,
      group: [`group.${token(which)}`, { groups: [which] }] as const,
      all: ['all', { all: true }] as const,
    }[scope];
    const meant = model.select(target);
    const body = `{"p":${++pushes}}`;
    const what = `push on ${subject}`;
    const count = scope === 'all' ? fleet.running.length : placesOf(meant).size;
    const lines = ['Pith-Route', 'onPush'];
    if (isCounted) {
      const answers = await fleet.within(what, fleet.operator.ask(`pith.${subject}.push`, body, Math.max(count, 1), lines)); // prettier-ignore
      expectSame(`answers to ${what}`, answers.length, count);
      const sum = answers.reduce((all, answer) => all + Number(answer['delivered']), 0);
      expectSame(`${what}: delivered`, sum, meant.length);
    } else fleet.operator.tell(`pith.${subject}.push`, body, lines);
    await expectGot(fleet, model, { what, body, meant });
  },
});

export const QUESTIONS = [presence, groupList, sessionList, session, gate, push, verbPush];
