/** Commands to sessions: they open, change and end. */
import fc from 'fast-check';

import { token } from '../backends/nats-text.ts';

import {
  apply,
  type Change,
  changeOne,
  closeElsewhere,
  ofHolders,
  outcomeOf,
  ttlOf,
  WAYS,
  WITH_TTL,
} from './change.ts';
import {
  aim,
  commandsOf,
  group,
  groups,
  namesNobody,
  nth,
  pick,
  placesOf,
  targetOf,
  ttl,
  uid,
} from './command.ts';
import type { Fleet } from './fleet.ts';
import { expectSame, fail, look, lookRound, settled, TOKEN_MS } from './look.ts';
import { Model, ModelSession, UNCHANGED } from './model.ts';

/** Sessions at a time. */
export const SESSIONS_MAX = 10;
const OPEN_MS = 10_000;

// ---- opening ----------------------------------------------------------------------------------------------

const open = commandsOf({
  name: 'open',
  weight: 10,
  args: fc.record({
    at: nth,
    transport: fc.constantFrom('ws' as const, 'tcp' as const),
    uid: fc.option(uid, { nil: undefined }),
    wantsTokens: fc.boolean(),
  }),
  can: (model) => model.sessions.size < SESSIONS_MAX,
  run: async (model, fleet, { at, ...who }) => {
    if (fleet.running.length === 0) return;
    await openAt(fleet, model, { place: pick(fleet.running, at).place, ...who });
  },
});

type Opening = {
  readonly place: string;
  readonly transport: 'ws' | 'tcp';
  readonly uid?: string | undefined;
  readonly wantsTokens: boolean;
};

async function openAt(fleet: Fleet, model: Model, opening: Opening): Promise<void> {
  const { asksConnect } = fleet.options;
  const { place, transport, uid: asked, wantsTokens } = opening;
  const uidAsked = asksConnect ? asked : undefined;
  const expected = uidAsked === undefined ? ['ok'] : ofHolders(fleet, model, uidAsked);
  const before = new Set(sidsAt(fleet, place));
  const guest = fleet.guest(place, transport);
  const pith = wantsTokens && { pith: { resume: '' } };
  const user = { ...pith, ...(uidAsked !== undefined && { uid: uidAsked }) };
  const code = await fleet.within('a client connects', guest.open(user), OPEN_MS);
  const outcome = code === 200 ? 'ok' : code === 500 ? '409 UID_IN_USE' : `code ${code}`;
  if (!expected.includes(outcome)) fail(`handshake as ${asked} at ${place}`, outcome, expected);
  if (outcome !== 'ok') {
    await fleet.whenever('who is refused is disconnected', () => !guest.isOpen, 1_000);
    return;
  }
  const sids = sidsAt(fleet, place).filter((sid) => !before.has(sid));
  expectSame(`new sessions at ${place}`, sids.length, 1);
  const session = new ModelSession(sids[0]!, guest);
  if (wantsTokens && fleet.options.resumes && guest.token === null)
    fail(`the token of ${session.sid}`, 'none', 'one');
  model.sessions.set(session.sid, session);
  if (uidAsked !== undefined) {
    const change: Change = { kind: 'bind', uid: uidAsked };
    apply(fleet, model, session, { change, way: 'own', sentMs: fleet.nowMs });
    // Its first token was made after that.
    session.changing = UNCHANGED;
    await closeElsewhere(fleet, model, uidAsked);
  }
  look(fleet, model);
}

export function sidsAt(fleet: Fleet, place: string): string[] {
  return [...fleet.gateways.get(place)!.gateway.registry.all()].map(({ sid }) => sid);
}

// ---- changing ---------------------------------------------------------------------------------------------

export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: uid.map((one) => ({ kind: 'bind' as const, uid: one })) },
  { weight: 3, arbitrary: fc.constant({ kind: 'unbind' as const }) },
  { weight: 7, arbitrary: fc.record({ kind: fc.constant('join' as const), groups, ttlMs: ttl }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('leave' as const), groups }) },
);

const changes = commandsOf({
  name: 'change',
  weight: 60,
  args: fc.record({ of: nth, change, way: fc.constantFrom(...WAYS), at: nth }),
  can: (model) => model.sessions.size > 0,
  run: async (model, fleet, { of, ...what }) => {
    await settled(fleet, model);
    if (model.sessions.size === 0) return;
    model.count(`change: ${what.change.kind}`);
    await changeOne(fleet, model, pick(model.list, of), what);
  },
});

/** A membership that ends by itself is to last otherwise; only its token shows it at once. */
const joinAgain = commandsOf({
  name: 'join again',
  weight: 8,
  args: fc.record({
    ...{ of: nth, which: nth, ttlMs: ttl, way: fc.constantFrom(...WITH_TTL), at: nth },
    looks: fc.boolean(),
  }),
  can: (model) => model.list.some(hasEnds),
  run: async (model, fleet, { of, which, ttlMs, looks, ...how }) => {
    await settled(fleet, model);
    const able = model.list.filter(hasEnds);
    if (able.length === 0) return;
    const session = pick(able, of);
    const again = pick(endingOf(session), which);
    await changeOne(fleet, model, session, { change: { kind: 'join', groups: [again], ttlMs }, ...how }); // prettier-ignore
    if (!looks) return;
    await fleet.wait(TOKEN_MS);
    await lookRound(fleet, model);
  },
});

function endingOf({ groups: its }: ModelSession): string[] {
  return [...its].filter(([, { byMs }]) => byMs < Infinity).map(([name]) => name);
}

function hasEnds(session: ModelSession): boolean {
  return endingOf(session).length > 0;
}

/** A session that has ended changes no more. */
const tooLate = commandsOf({
  name: 'change too late',
  weight: 2,
  args: fc.record({ of: nth, change, way: fc.constantFrom('control', 'other'), at: nth }),
  can: (model) => model.sessions.size > 0,
  run: async (model, fleet, { of, ...what }) => {
    await settled(fleet, model);
    const session = model.list.find(({ guest }) => !guest.isVanished);
    if (session === undefined || of > 3) return;
    session.guest.end('leaves');
    await gone(fleet, session);
    model.close(session, 'client_closed');
    const { change: one } = what;
    if (one.kind === 'join' || one.kind === 'leave') return;
    await changeOne(fleet, model, session, what as Parameters<typeof changeOne>[3]);
  },
});

/** Join or Leave for whomever a target names. */
const groupChange = commandsOf({
  name: 'group change',
  weight: 10,
  args: fc.record({ aim, verb: fc.constantFrom('Join' as const, 'Leave' as const), groups, ttl }),
  run: async (model, fleet, { aim: aimed, verb, groups: names, ttl: ttlMs }) => {
    await settled(fleet, model);
    const target = targetOf(model, aimed);
    if (fleet.running.length === 0 || namesNobody(target)) return;
    const sessions = model.select(target);
    const isJoin = verb === 'Join';
    const json = { target, groups: names, ...(isJoin && ttlOf(ttlMs)) };
    const sentMs = fleet.nowMs;
    const [answer] = await fleet.within(verb, fleet.operator.ask(`pith.control.${verb}`, json));
    const one: Change = isJoin
      ? { kind: 'join', groups: names, ttlMs }
      : { kind: 'leave', groups: names };
    let changed = 0;
    let refused = 0;
    for (const session of sessions) {
      if (isJoin && Model.refusal(session, names) !== '') refused++;
      else if (apply(fleet, model, session, { change: one, way: 'control', sentMs })) changed++;
    }
    const { text } = outcomeOf(answer);
    const what = `${verb} ${names.join()} of ${JSON.stringify(target)}`;
    expectSame(what, text, changed === 0 && refused > 0 ? '413 TOO_LARGE' : 'ok');
    if (text === 'ok') {
      expectSame(`${what}: changed`, answer!['changed'], changed);
      expectSame(`${what}: refused`, answer!['refused'], refused);
    }
    look(fleet, model);
  },
});

/** `pith.user.<uid>.patch`: each of its sessions changes by itself. */
const userPatch = commandsOf({
  name: 'user patch',
  weight: 4,
  args: fc.record({ uid, join: fc.option(group, { nil: undefined }), leave: group }),
  run: async (model, fleet, { uid: of, join, leave }) => {
    await settled(fleet, model);
    const sessions = model.of(of);
    const joined = join === undefined || join === leave ? [] : [join];
    if (sessions.some((session) => Model.refusal(session, joined) !== '')) return;
    const sentMs = fleet.nowMs;
    const asked = fleet.operator.ask(`pith.user.${token(of)}.patch`, { join: joined, leave: [leave] }, placesOf(sessions).size); // prettier-ignore
    const answers = await fleet.within('a patch of a user', asked);
    let changed = 0;
    for (const session of sessions) {
      const isOut = apply(fleet, model, session, { change: { kind: 'leave', groups: [leave] }, way: 'patch', sentMs }); // prettier-ignore
      const isIn = joined.length > 0 && apply(fleet, model, session, { change: { kind: 'join', groups: joined, ttlMs: -1 }, way: 'patch', sentMs }); // prettier-ignore
      if (isOut || isIn) changed++;
    }
    const sum = answers.reduce((all, answer) => all + Number(answer['changed']), 0);
    expectSame(`changed sessions of ${of}`, sum, changed);
    look(fleet, model);
  },
});

// ---- ending -----------------------------------------------------------------------------------------------

export function gone(fleet: Fleet, { sid, place }: ModelSession): Promise<void> {
  const registry = fleet.gateways.get(place)?.gateway.registry;
  return fleet.whenever(`the end of ${sid}`, () => registry?.bySid(sid) === undefined, 500);
}

const leaves = commandsOf({
  name: 'client ends',
  weight: 6,
  args: fc.record({ of: nth, how: fc.constantFrom('leaves', 'drops', 'vanishes') }),
  can: (model) => model.list.some(({ guest }) => guest.isOpen),
  run: async (model, fleet, { of, how }) => {
    const session = pick(model.list.filter(({ guest }) => guest.isOpen), of); // prettier-ignore
    session.guest.end(how);
    if (how === 'vanishes') {
      session.vanished(fleet.nowMs);
      return;
    }
    await gone(fleet, session);
    model.close(session, how === 'leaves' ? 'client_closed' : 'connection_lost');
    look(fleet, model);
  },
});

/** A player loses its network, and logs in again from elsewhere before its gateway has noticed. */
const takeOver = commandsOf({
  name: 'take over',
  weight: 4,
  args: fc.record({ of: nth, by: nth, afterMs: fc.constantFrom(0, 2_500, 6_000), at: nth, way: fc.constantFrom(...WAYS) }), // prettier-ignore
  can: (model) => model.list.some(isLoggedIn) && model.list.some(isNobody),
  run: async (model, fleet, { of, by, afterMs, ...how }) => {
    const old = pick(model.list.filter(isLoggedIn), of);
    old.guest.end('vanishes');
    old.vanished(fleet.nowMs);
    await fleet.wait(afterMs);
    await settled(fleet, model);
    const able = model.list.filter(isNobody);
    if (able.length === 0) return;
    await changeOne(fleet, model, pick(able, by), { change: { kind: 'bind', uid: old.uid }, ...how }); // prettier-ignore
  },
});

function isLoggedIn({ guest, uid: has }: ModelSession): boolean {
  return guest.isOpen && has !== '';
}

function isNobody({ guest, uid: has }: ModelSession): boolean {
  return guest.isOpen && has === '';
}

const kick = commandsOf({
  name: 'kick',
  weight: 5,
  args: fc.record({ aim, reason: fc.constantFrom('', 'cheating') }),
  run: async (model, fleet, { aim: aimed, reason }) => {
    await settled(fleet, model);
    const target = targetOf(model, { ...aimed, all: false });
    if (fleet.running.length === 0 || namesNobody(target)) return;
    const sessions = model.select(target);
    const asked = fleet.operator.ask('pith.control.Kick', { target, close: { reason } });
    const [answer] = await fleet.within('Kick', asked);
    expectSame(`Kick ${JSON.stringify(target)}: closed`, answer?.['closed'], sessions.length);
    await ended(fleet, model, sessions, reason || 'kick');
  },
});

const verbKick = commandsOf({
  name: 'kick by a verb',
  weight: 4,
  args: fc.record({ of: nth, kind: fc.constantFrom('session', 'user', 'group', 'close'), uid, group }), // prettier-ignore
  can: (model) => model.sessions.size > 0,
  run: async (model, fleet, { of, kind: scope, uid: whose, group: which }) => {
    await settled(fleet, model);
    if (model.sessions.size === 0) return;
    const { sid } = pick(model.list, of);
    const [subject, target] =
      scope === 'user'
        ? [`user.${token(whose)}.kick`, { uids: [whose] }]
        : scope === 'group'
          ? [`group.${token(which)}.kick`, { groups: [which] }]
          : [`session.${sid}.${scope === 'close' ? 'close' : 'kick'}`, { sids: [sid] }];
    const sessions = model.select(target);
    const count = placesOf(sessions).size;
    const answers = await fleet.within('a kick', fleet.operator.ask(`pith.${subject}`, '', Math.max(count, 1))); // prettier-ignore
    expectSame(`answers to ${subject}`, answers.length, count);
    const sum = answers.reduce((all, answer) => all + Number(answer['closed']), 0);
    expectSame(`closed by ${subject}`, sum, sessions.length);
    await ended(fleet, model, sessions, scope === 'close' ? 'closed' : 'kick');
  },
});

async function ended(
  fleet: Fleet,
  model: Model,
  sessions: readonly ModelSession[],
  reason: string,
): Promise<void> {
  for (const session of sessions) {
    await gone(fleet, session);
    model.close(session, reason);
  }
  look(fleet, model);
}

export const SESSION_COMMANDS = [
  open,
  changes,
  joinAgain,
  tooLate,
  groupChange,
  userPatch,
  leaves,
  takeOver,
  kick,
  verbKick,
];
