/**
 * Commands of which several go on at once. Which comes first is nobody's promise: what came of it is taken from the
 * gateways, if it is one of the things that may, and everything else must say the same.
 */
import fc from 'fast-check';

import { type Change, changeOne, type Outcome, send, wayFor, WAYS, WITH_TTL } from './change.ts';
import { commandsOf, nth, pick, uid } from './command.ts';
import type { Fleet } from './fleet.ts';
import type { Guest } from './guest.ts';
import { fail, lookRound, settled } from './look.ts';
import { GROUPS_MAX, type Membership, membership, type Model, ModelSession } from './model.ts';
import { change, SESSIONS_MAX } from './sessions.ts';

/** Until all is done, and who has to go has gone; where holders of a uid are asked first. */
const DONE_MS = 1_000;
const ASKED_MS = 6_500;
/** Claims are said again every half minute, and then the others are asked. */
const CLAIMS_AGAIN_MS = 31_000;
/** Times of memberships that are as certain as they can be. */
const OPEN_MS = 200;
/** What may come of a change that is not alone. */
const OUTCOMES = [
  ...['ok', 'nobody', '404 NO_SESSION', '409 CLOSING', '409 CONFLICT', '409 UID_IN_USE'],
  ...['413 TOO_LARGE', '503 BUS_AWAY', '504 TIMEOUT'],
];

/** What may become of a session. */
class Touch {
  readonly uids = new Set<string>();
  readonly joins = new Map<string, Membership>();
  readonly leaves = new Set<string>();
  /** Reasons for which it may end. */
  readonly ends = new Set<string>();
  /** Uids that it was bound to, as the answers say. */
  readonly bound = new Set<string>();
  /** Its client has not vanished. */
  isPresent = true;
  /** How many changes there are to it. */
  count = 0;
}

class Touches {
  readonly #bySid = new Map<string, Touch>();

  of({ sid }: Pick<ModelSession, 'sid'>): Touch {
    const known = this.#bySid.get(sid) ?? new Touch();
    this.#bySid.set(sid, known);
    return known;
  }

  get uids(): Set<string> {
    return new Set([...this.#bySid.values()].flatMap(({ uids }) => [...uids]));
  }

  /** Uids that somebody must have now: whoever was bound to them, and nothing else has happened to any of these. */
  get sure(): string[] {
    const all = [...this.#bySid.values()];
    const isAlone = ({ count, ends, isPresent }: Touch): boolean =>
      count === 1 && ends.size === 0 && isPresent;
    const doubtful = new Set(all.filter((one) => !isAlone(one)).flatMap(({ uids }) => [...uids]));
    return all.flatMap(({ bound }) => [...bound]).filter((one) => !doubtful.has(one));
  }
}

// ---- sending ----------------------------------------------------------------------------------------------

type Piece = { readonly of: number; readonly change: Change; readonly way: (typeof WAYS)[number]; readonly at: number }; // prettier-ignore

/** Sends a change, and notes what may come of it. */
function begin(
  fleet: Fleet,
  touches: Touches,
  session: ModelSession,
  piece: Omit<Piece, 'of'>,
): void {
  // prettier-ignore
  const { change: what, at } = piece;
  const way = wayFor(session.guest, piece.way);
  const touch = touches.of(session);
  touch.count++;
  touch.isPresent = !session.guest.isVanished;
  if (what.kind === 'bind') touch.uids.add(what.uid);
  if (what.kind === 'unbind') touch.uids.add('');
  if (what.kind === 'leave') for (const group of what.groups) touch.leaves.add(group);
  if (what.kind === 'join') noteJoin(fleet, touch, what, way);
  const done = (outcome: Outcome): void => {
    if (!OUTCOMES.includes(outcome.text))
      fleet.world.violate('changes at once have an outcome that they may have', `${what.kind} of ${session.sid}: ${outcome.text}`); // prettier-ignore
    if (outcome.text === 'ok' && what.kind === 'bind') touch.bound.add(what.uid);
  };
  // Where the client or its gateway is gone there is no answer.
  send(fleet, session, what, way, at).then(done, () => {});
}

function noteJoin(
  { nowMs, options }: Fleet,
  touch: Touch,
  { groups, ttlMs }: Change & { kind: 'join' },
  way: Piece['way'],
): void {
  const isGiven = ttlMs >= 0 && WITH_TTL.includes(way);
  const its = membership(isGiven ? ttlMs : options.groupTtlMs, nowMs, nowMs + DONE_MS);
  for (const group of groups) touch.joins.set(group, either(touch.joins.get(group), its));
}

function either(one: Membership | undefined, other: Membership): Membership {
  if (one === undefined) return other;
  return { fromMs: Math.min(one.fromMs, other.fromMs), byMs: Math.max(one.byMs, other.byMs) };
}

// ---- what came of it --------------------------------------------------------------------------------------

/** Takes over what is there now. */
async function adopt(fleet: Fleet, model: Model, touches: Touches): Promise<void> {
  // Events are on their way.
  await fleet.wait(30);
  const contested = model.policy.sessionsMax < Infinity ? touches.uids : new Set<string>();
  for (const session of model.list) adoptOne(fleet, model, session, { touch: touches.of(session), contested }); // prettier-ignore
  sortBinds(fleet, model);
  for (const one of new Set(model.list.map((session) => session.uid))) {
    const count = one === '' ? 0 : model.of(one).length;
    if (count > model.policy.sessionsMax) fail(`sessions of ${one}`, count, model.policy.sessionsMax); // prettier-ignore
  }
  for (const one of touches.sure)
    if (model.of(one).length === 0) fail(`sessions of ${one}, which was bound`, 0, 1);
  await makeCertain(fleet, model);
  await lookRound(fleet, model);
}

/** Of several joins, nobody knows which was the last, and so when the membership ends. */
async function makeCertain(fleet: Fleet, model: Model): Promise<void> {
  for (const session of model.list) {
    const open = [...session.groups].filter(([, { fromMs, byMs }]) => byMs - fromMs > DONE_MS + OPEN_MS); // prettier-ignore
    if (open.length === 0) continue;
    const leave: Change = { kind: 'leave', groups: open.map(([group]) => group) };
    await changeOne(fleet, model, session, { change: leave, way: 'own', at: 0 });
  }
}

function adoptOne(
  fleet: Fleet,
  model: Model,
  session: ModelSession,
  { touch, contested }: { touch: Touch; contested: ReadonlySet<string> },
): void {
  const { sid, uid: before, told, groups } = session;
  const is = fleet.heard.told.get(sid) ?? [];
  if (!isStory(is, told)) fail(`events of ${sid}`, is, `what may follow ${told.join()}`);
  if (touch.count > 0) session.changing = { fromMs: -Infinity, byMs: fleet.nowMs };
  const real = fleet.gateways.get(session.place)?.gateway.registry.bySid(sid);
  const mayHave = [before, ...touch.uids];
  session.told.splice(0, told.length, ...is);
  if (real === undefined) {
    const [, reason = ''] = /^closed (.*)$/.exec(is.at(-1) ?? '') ?? [];
    const mayEnd = new Set(touch.ends);
    if (mayHave.some((one) => one !== '' && contested.has(one))) mayEnd.add('logged_in_elsewhere');
    if (fleet.nowMs >= session.silent.fromMs) mayEnd.add('heartbeat_timeout');
    if (!mayEnd.has(reason)) fail(`the end of ${sid}`, reason || 'not told', [...mayEnd]);
    session.told.pop();
    model.close(session, reason);
    return;
  }
  if (!mayHave.includes(real.uid)) fail(`uid of ${sid}`, real.uid, mayHave);
  session.uid = real.uid;
  session.version = real.version;
  const mayBeIn = new Map(groups);
  for (const [group, its] of touch.joins) mayBeIn.set(group, either(groups.get(group), its));
  for (const group of real.groups) if (!mayBeIn.has(group)) fail(`${sid} in ${group}`, 'in', 'out');
  for (const [group, { fromMs }] of groups)
    if (
      !real.groups.has(group) &&
      !touch.leaves.has(group) &&
      fleet.nowMs < (touch.joins.has(group) ? mayBeIn.get(group)!.fromMs : fromMs)
    )
      // prettier-ignore
      fail(`${sid} in ${group}`, 'out', 'in');
  if (real.groups.size > GROUPS_MAX) fail(`groups of ${sid}`, real.groups.size, GROUPS_MAX);
  groups.clear();
  for (const group of real.groups) groups.set(group, mayBeIn.get(group)!);
}

/** A session is opened, is bound and unbound in turn, and ends; it goes on from what is known. */
function isStory(is: readonly string[], known: readonly string[]): boolean {
  if (known.some((one, i) => is[i] !== one)) return false;
  let has = '';
  for (const [i, one] of is.entries()) {
    const [what, who = ''] = one.split(' ');
    if ((what === 'opened') !== (i === 0)) return false;
    if (what === 'closed' && i < is.length - 1) return false;
    if (what === 'bound' && has !== '') return false;
    if (what === 'unbound' && has !== who) return false;
    if (what === 'bound') has = who;
    if (what === 'unbound') has = '';
  }
  return true;
}

/** The order of binds is what the gateways have made it. */
function sortBinds(fleet: Fleet, model: Model): void {
  const stamps = new Map<string, number>();
  for (const { gateway } of fleet.running)
    for (const { sid, boundAtWall } of gateway.registry.all()) stamps.set(sid, boundAtWall);
  const bound = model.list.filter((session) => session.uid !== '');
  bound.sort((a, b) => stamps.get(a.sid)! - stamps.get(b.sid)! || (a.sid < b.sid ? -1 : 1));
  for (const session of bound) model.rebound(session);
}

// ---- commands ---------------------------------------------------------------------------------------------

type Ending = { readonly of: number; readonly how: 'leaves' | 'drops' | 'kick' };
type Opening = { readonly at: number; readonly transport: 'ws' | 'tcp'; readonly uid: string };

const burst = commandsOf({
  name: 'at once',
  weight: 6,
  args: fc.record({
    pieces: fc.array(fc.record({ of: nth, change, way: fc.constantFrom(...WAYS), at: nth }), { minLength: 1, maxLength: 5 }), // prettier-ignore
    endings: fc.array(fc.record({ of: nth, how: fc.constantFrom('leaves' as const, 'drops' as const, 'kick' as const) }), { maxLength: 1 }), // prettier-ignore
    opening: fc.option(fc.record({ at: nth, transport: fc.constantFrom('ws' as const, 'tcp' as const), uid }), { nil: null }), // prettier-ignore
    apartMs: fc.constantFrom(0, 1, 3),
  }),
  can: (model) => model.sessions.size > 1,
  run: async (model, fleet, { pieces, endings, opening, apartMs }) => {
    await settled(fleet, model);
    if (fleet.running.length === 0 || model.sessions.size < 2) return;
    const { list } = model;
    const touches = new Touches();
    const opened = opening === null ? null : beginOpening(fleet, model, touches, opening);
    for (const piece of pieces) {
      begin(fleet, touches, pick(list, piece.of), piece);
      if (apartMs > 0) await fleet.wait(apartMs);
    }
    for (const { of, how } of endings) endOne(fleet, touches, pick(list, of), how);
    const mayBind = touches.uids.size > 0 || (opening !== null && fleet.options.asksConnect);
    const isAsked = model.policy.name === 'refuse_new' && mayBind;
    await fleet.wait(isAsked ? ASKED_MS : DONE_MS);
    if (opened !== null) opened();
    await adopt(fleet, model, touches);
  },
});

function endOne(fleet: Fleet, touches: Touches, session: ModelSession, how: Ending['how']): void {
  const { ends } = touches.of(session);
  if (how === 'kick') {
    ends.add('kick');
    fleet.operator.tell(`pith.session.${session.sid}.kick`, '', []);
  } else if (session.guest.isOpen) {
    session.guest.end(how);
    ends.add(how === 'leaves' ? 'client_closed' : 'connection_lost');
  }
}

/** @returns Adds its session to the model, once it is there. */
function beginOpening(fleet: Fleet, model: Model, touches: Touches, opening: Opening): () => void {
  // prettier-ignore
  const { running, options } = fleet;
  if (model.sessions.size >= SESSIONS_MAX) return () => {};
  const { place, gateway } = pick(running, opening.at);
  const sids = (): string[] => [...gateway.registry.all()].map(({ sid }) => sid);
  const before = new Set([...sids(), ...fleet.heard.told.keys()]);
  const guest: Guest = fleet.guest(place, opening.transport);
  guest.open(options.asksConnect ? { uid: opening.uid } : {}).catch(() => {});
  return () => {
    const sid = sids().find((one) => !before.has(one)) ?? endedSince(fleet, model, before, gateway.id); // prettier-ignore
    if (sid === undefined) return;
    const session = new ModelSession(sid, guest);
    model.sessions.set(sid, session);
    if (options.asksConnect) touches.of(session).uids.add(opening.uid);
  };
}

/** It was there, and has ended meanwhile: events tell. */
function endedSince(
  { heard }: Fleet,
  model: Model,
  before: ReadonlySet<string>,
  id: string,
): string | undefined {
  // prettier-ignore
  for (const sid of heard.told.keys())
    if (sid.startsWith(`${id}.`) && !before.has(sid) && !model.sessions.has(sid)) return sid;
  return undefined;
}

/** A gateway and the bus do not reach each other, and both sides bind. When they do again, the newest sessions stay. */
const apart = commandsOf({
  name: 'apart',
  weight: 2,
  args: fc.record({
    at: nth,
    ms: fc.constantFrom(300, 3_000, 9_000),
    binds: fc.array(fc.record({ of: nth, uid }), { maxLength: 4 }),
  }),
  run: async (model, fleet, { at, ms, binds }) => {
    await settled(fleet, model);
    if (fleet.running.length === 0) return;
    const touches = new Touches();
    const { list } = model;
    await fleet.apart(pick(fleet.running, at).place, ms, async () => {
      for (const { of, uid: whom } of list.length === 0 ? [] : binds) {
        const session = pick(list, of);
        begin(fleet, touches, session, { change: { kind: 'bind', uid: whom }, way: 'own', at });
        await fleet.wait(20);
      }
    });
    if (model.policy.name === 'refuse_new') await fleet.wait(ASKED_MS);
    await fewEnough(fleet, model);
    // Whose uid has more sessions than it may is found by what is said of all of them.
    for (const session of model.list) if (session.uid !== '') touches.of(session).uids.add(session.uid); // prettier-ignore
    await adopt(fleet, model, touches);
  },
});

/** Who could not be asked is heard of when claims are said again. [proto/README.md] */
async function fewEnough(fleet: Fleet, { policy }: Model): Promise<void> {
  const isSo = (): boolean => {
    const counts = new Map<string, number>();
    for (const { gateway } of fleet.running)
      for (const { uid: whose } of gateway.registry.all())
        if (whose !== '') counts.set(whose, (counts.get(whose) ?? 0) + 1);
    return Math.max(0, ...counts.values()) <= policy.sessionsMax;
  };
  await fleet.whenever('no uid has more sessions than it may', isSo, CLAIMS_AGAIN_MS);
}

export const AT_ONCE = [burst, apart];
