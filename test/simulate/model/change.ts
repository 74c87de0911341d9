/** Changes of one session, by each of the ways there are, and what must come of them. */
import type { Fleet } from './fleet.ts';
import { type Guest, HEARTBEAT_MS } from './guest.ts';
import { expectSame, fail, look } from './look.ts';
import { Model, membership, type ModelSession } from './model.ts';
import type { Json } from './operator.ts';

/** verb, patch: over NATS · control: Control over NATS · reply: by the answer to its client · own: Control of its gateway · other: of another */
export const WAYS = ['verb', 'patch', 'control', 'reply', 'own', 'other'] as const;
export type Way = (typeof WAYS)[number];

export type Change =
  | { readonly kind: 'bind'; readonly uid: string }
  | { readonly kind: 'unbind' }
  /** ttlMs -1: as configured. */
  | { readonly kind: 'join'; readonly groups: readonly string[]; readonly ttlMs: number }
  | { readonly kind: 'leave'; readonly groups: readonly string[] };

/** Ways by which the time of a membership can be given. */
export const WITH_TTL: readonly Way[] = ['verb', 'control'];
/** The longest that those who have a uid are asked. */
const ASK_MS = 5_000;
/** Until a claim is there. */
const CLAIM_MS = 10;
const ELSEWHERE = 'logged_in_elsewhere';
/** Within it the others have closed their sessions of a uid. [proto/README.md] */
const ELSEWHERE_MS = 500;

/** `ok`, or code and reason; and what it says that it has changed, -1 if it does not say. */
export type Outcome = { readonly text: string; readonly changed: number };

export function outcomeOf(answer: Json | undefined): Outcome {
  if (answer === undefined) return { text: 'nobody', changed: 0 };
  const error = answer['error'] as { code: number; reason: string } | undefined;
  if (error !== undefined) return { text: `${error.code} ${error.reason}`, changed: 0 };
  const changed = answer['changed'];
  return { text: 'ok', changed: typeof changed === 'number' ? changed : -1 };
}

// ---- sending ----------------------------------------------------------------------------------------------

/** Carries out a change. @param at The gateway that `other` means. */
export async function send(
  fleet: Fleet,
  { sid, guest, place }: Pick<ModelSession, 'sid' | 'guest' | 'place'>,
  change: Change,
  way: Way,
  at: number,
): Promise<Outcome> {
  const by = wayFor(guest, way);
  const what = `${change.kind} of ${sid} by ${by}`;
  if (by === 'reply') {
    const { code, reason } = await fleet.within(what, guest.ask('game.act', ascii(wishOf(change)))); // prettier-ignore
    return { text: code === 200 ? 'ok' : `${code} ${reason}`, changed: -1 };
  }
  if (by === 'own' || by === 'other') {
    const { running } = fleet;
    const own = running.find((one) => one.place === place);
    const gateway = (by === 'own' ? own : undefined) ?? running[at % running.length]!;
    const done = await fleet.within(what, gateway.fleetCommands.patch(sid, wishAsPatch(change)));
    if ('reason' in done) return { text: `${done.code} ${done.reason}`, changed: 0 };
    return { text: 'ok', changed: done.changed };
  }
  const [subject, json] = by === 'control' ? controlOf(sid, change) : verbOf(sid, change, by);
  const [answer] = await fleet.within(what, fleet.operator.ask(subject, json));
  return outcomeOf(answer);
}

/** A guest that has vanished asks for nothing. */
export function wayFor({ isOpen }: Guest, way: Way): Way {
  return way === 'reply' && !isOpen ? 'verb' : way;
}

/** As the clients of the simulation send it. */
function ascii(json: object): string {
  return JSON.stringify(json).replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function wishOf(change: Change): object {
  switch (change.kind) {
    case 'bind':
      return { bind: change.uid };
    case 'unbind':
      return { bind: '' };
    case 'join':
      return { join: change.groups };
    case 'leave':
      return { leave: change.groups };
  }
}

function wishAsPatch(change: Change): object {
  if (change.kind === 'bind' || change.kind === 'unbind')
    return { uid: change.kind === 'bind' ? change.uid : '' };
  return wishOf(change);
}

function verbOf(sid: string, change: Change, by: 'verb' | 'patch'): [string, object | string] {
  const subject = `pith.session.${sid}`;
  if (by === 'patch') return [`${subject}.patch`, wishAsPatch(change)];
  switch (change.kind) {
    case 'bind':
      return [`${subject}.bind`, { uid: change.uid }];
    case 'unbind':
      return [`${subject}.unbind`, ''];
    case 'join':
      return [`${subject}.join`, { groups: change.groups, ...ttlOf(change.ttlMs) }];
    case 'leave':
      return [`${subject}.leave`, { groups: change.groups }];
  }
}

function controlOf(sid: string, change: Change): [string, object] {
  const target = { sids: [sid] };
  switch (change.kind) {
    case 'bind':
      return ['pith.control.Bind', { sid, uid: change.uid }];
    case 'unbind':
      return ['pith.control.Unbind', { sid }];
    case 'join':
      return ['pith.control.Join', { target, groups: change.groups, ...ttlOf(change.ttlMs) }];
    case 'leave':
      return ['pith.control.Leave', { target, groups: change.groups }];
  }
}

export function ttlOf(ttlMs: number): { ttl?: string } {
  return ttlMs < 0 ? {} : { ttl: `${ttlMs / 1_000}s` };
}

// ---- what must come of it ---------------------------------------------------------------------------------

/** One change by itself: the model says what becomes of it. */
export async function changeOne(
  fleet: Fleet,
  model: Model,
  session: ModelSession,
  { change, way: wanted, at }: { change: Change; way: Way; at: number },
): Promise<void> {
  const way = wayFor(session.guest, wanted);
  if (change.kind === 'bind') await apartFromOthers(fleet, model, change.uid);
  const sentMs = fleet.nowMs;
  const { expired, version: before } = session;
  const expected = expectedOf(fleet, model, session, change);
  const outcome = await send(fleet, session, change, way, at);
  const { text, changed } = outcome;
  if (!expected.includes(text))
    fail(`${change.kind} of ${session.sid} by ${way}`, text, expected.join(' or '));
  const isNew = text === 'ok' && apply(fleet, model, session, { change, way, sentMs });
  if (changed >= 0 && text === 'ok')
    expectSame(`changed by ${change.kind} of ${session.sid}`, changed, Number(isNew));
  if (text === 'ok' && change.kind === 'bind' && isNew) await closeElsewhere(fleet, model, change.uid); // prettier-ignore
  look(fleet, model);
  // What ends by itself is a change, too.
  if (model.sessions.has(session.sid) && session.expired === expired) {
    const hasGrown = session.version > before;
    if (isNew !== hasGrown) fail(`version of ${session.sid} after ${change.kind} by ${way}`, session.version, isNew ? `more than ${before}` : before); // prettier-ignore
  }
}

/** Which of two binds is the later one, only the clocks can tell where the claims of both are on their way. */
async function apartFromOthers(fleet: Fleet, model: Model, uid: string): Promise<void> {
  const lastMs = Math.max(...model.of(uid).map(({ boundMs }) => boundMs));
  if (fleet.nowMs - lastMs < CLAIM_MS) await fleet.wait(CLAIM_MS);
}

function expectedOf(fleet: Fleet, model: Model, session: ModelSession, change: Change): string[] {
  if (!model.sessions.has(session.sid)) return ['404 NO_SESSION'];
  switch (change.kind) {
    case 'bind':
      if (session.uid === change.uid) return ['ok'];
      if (session.uid !== '') return ['409 CONFLICT'];
      return [...ofHolders(fleet, model, change.uid), ...(mayEnd(fleet, model, session) ? ['409 CLOSING'] : [])]; // prettier-ignore
    case 'join':
      return [Model.refusal(session, change.groups) || 'ok'];
    case 'unbind':
    case 'leave':
      return ['ok'];
  }
}

/** While those who have the uid are asked, it may be found that its own client has vanished. */
function mayEnd(
  { nowMs }: Fleet,
  { policy }: Model,
  { silent: { fromMs } }: ModelSession,
): boolean {
  return policy.name === 'refuse_new' && fromMs < nowMs + ASK_MS;
}

/** Under refuse_new it is those who have the uid that decide. */
export function ofHolders({ nowMs }: Fleet, model: Model, uid: string): string[] {
  if (model.policy.name !== 'refuse_new') return ['ok'];
  let isSure = true;
  for (const { guest } of model.of(uid)) {
    if (guest.isOpen) return ['409 UID_IN_USE'];
    if (guest.transport === 'ws') continue;
    // [proto/README.md: one that was heard within a heartbeat interval counts as present]
    const agoMs = nowMs - guest.saidMs;
    if (agoMs < HEARTBEAT_MS - LEEWAY_MS) return ['409 UID_IN_USE'];
    if (agoMs < HEARTBEAT_MS + LEEWAY_MS) isSure = false;
  }
  return isSure ? ['ok'] : ['ok', '409 UID_IN_USE'];
}

/** How far what a gateway sees may be from what the test does. */
const LEEWAY_MS = 400;

/** @returns Whether it has changed anything. */
export function apply(
  fleet: Fleet,
  model: Model,
  session: ModelSession,
  what: { change: Change; way: Way; sentMs: number },
): boolean {
  const before = new Map(session.groups);
  const isNew = applyOne(fleet, model, session, what);
  const lastsOtherwise = [...session.groups].some(
    ([group, { fromMs }]) => before.get(group)?.fromMs !== fromMs,
  );
  if (isNew || lastsOtherwise) session.changing = { fromMs: what.sentMs, byMs: fleet.nowMs };
  return isNew;
}

function applyOne(
  { nowMs, options }: Fleet,
  model: Model,
  session: ModelSession,
  { change, way, sentMs }: { change: Change; way: Way; sentMs: number },
): boolean {
  switch (change.kind) {
    case 'bind':
    case 'unbind': {
      const uid = change.kind === 'bind' ? change.uid : '';
      if (session.uid === uid) return false;
      if (uid !== '' && model.policy.name === 'refuse_new')
        for (const old of model.of(uid)) model.close(old, endOf(old, nowMs));
      model.bind(session, uid);
      session.boundMs = nowMs;
      return true;
    }
    case 'join': {
      const { size } = session.groups;
      const isGiven = change.ttlMs >= 0 && WITH_TTL.includes(way);
      const ttlMs = isGiven ? change.ttlMs : options.groupTtlMs;
      for (const group of change.groups)
        session.groups.set(group, membership(ttlMs, sentMs, nowMs));
      return session.groups.size > size;
    }
    case 'leave':
      return change.groups.filter((group) => session.groups.delete(group)).length > 0;
  }
}

/** How a session ends: its place was lost, or it was found to be gone in between. */
function endOf({ silent: { fromMs } }: ModelSession, nowMs: number): string {
  return nowMs < fromMs ? ELSEWHERE : `${ELSEWHERE}|heartbeat_timeout`;
}

/** Only sessions that must close are closed, and within half a second. */
export async function closeElsewhere(fleet: Fleet, model: Model, uid: string): Promise<void> {
  const old = model.tooMany(uid);
  if (old.length === 0) return;
  const isGone = ({ sid }: ModelSession): boolean =>
    fleet.running.every(({ gateway: { registry } }) => registry.bySid(sid) === undefined);
  await fleet.whenever(`the older sessions of ${uid} are closed`, () => old.every(isGone), ELSEWHERE_MS); // prettier-ignore
  for (const session of old) model.close(session, endOf(session, fleet.nowMs));
}
