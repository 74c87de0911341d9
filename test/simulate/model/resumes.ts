/** Commands of clients that come back with a token. */
import fc from 'fast-check';

import { ofHolders } from './change.ts';
import { commandsOf, nth, pick } from './command.ts';
import { type Fleet, WINDOW_MS } from './fleet.ts';
import { expectSame, fail, look, lookAtToken, settled, TOKEN_MS } from './look.ts';
import { type Membership, type Model, ModelSession } from './model.ts';
import { gone, SESSIONS_MAX, sidsAt } from './sessions.ts';

/** On its way while something else changes. */
const LATENCY_MS = 15;
/** How far the time of a token may be from when it came. */
const LEEWAY_MS = 500;
/** Rounding and a tick more, each time that a membership is taken over. */
const AGAIN_MS = 40;
const OPEN_MS = 10_000;

/** Whether the token that a client has says what was so in the end. */
function isExact({ guest: { token }, changing }: ModelSession): boolean {
  return token !== null && token.atMs > changing.byMs + LATENCY_MS;
}

/** ok: it goes on · no: it is a new session · null: neither is certain. */
function expectedOf(fleet: Fleet, model: Model, old: ModelSession): 'ok' | 'no' | null {
  const { lineage, guest, uid } = old;
  const ageMs = fleet.nowMs - guest.token!.atMs;
  if (model.endedLineages.has(lineage) || ageMs > WINDOW_MS + LEEWAY_MS) return 'no';
  if (model.doubtfulEnds.has(lineage) || ageMs > WINDOW_MS - LEEWAY_MS || !isExact(old))
    return null;
  // Another one goes on from it already, or from one after it.
  const live = model.list.find((one) => one.lineage === lineage && one !== old);
  if (live !== undefined) return 'no';
  const others = model.of(uid).filter((one) => uid !== '' && one !== old);
  return others.length >= model.policy.sessionsMax ? null : 'ok';
}

/** A client comes back to a session that it has lost, or that its gateway believes to be there still. */
const resume = commandsOf({
  name: 'resume',
  weight: 8,
  args: fc.record({
    of: nth,
    at: nth,
    transport: fc.constantFrom('ws' as const, 'tcp' as const),
    how: fc.constantFrom(
      'leaves' as const,
      'drops' as const,
      'vanishes' as const,
      'stays' as const,
    ),
    isLost: fc.boolean(),
  }),
  can: (model) => model.sessions.size < SESSIONS_MAX,
  run: async (model, fleet, { of, isLost, how, ...where }) => {
    if (!fleet.options.resumes || fleet.running.length === 0) return;
    const old = isLost ? await pickLost(fleet, model, of) : await loseOne(fleet, model, of, how);
    if (old === null) return;
    await comeBack(fleet, model, old, where);
  },
});

async function pickLost(fleet: Fleet, model: Model, of: number): Promise<ModelSession | null> {
  await settled(fleet, model);
  return model.lost.length === 0 ? null : pick(model.lost, of);
}

/** Its token is as new as can be, and then its client goes. */
async function loseOne(
  fleet: Fleet,
  model: Model,
  of: number,
  how: 'leaves' | 'drops' | 'vanishes' | 'stays',
): Promise<ModelSession | null> {
  const able = (): ModelSession[] =>
    model.list.filter(({ guest }) => guest.isOpen && guest.token !== null);
  if (able().length === 0) return null;
  await fleet.wait(TOKEN_MS);
  await settled(fleet, model);
  for (const session of able()) lookAtToken(fleet, session);
  if (able().length === 0) return null;
  const old = pick(able(), of);
  if (how === 'stays') return old;
  old.guest.end(how);
  if (how === 'vanishes') old.vanished(fleet.nowMs);
  else {
    await gone(fleet, old);
    model.close(old, how === 'leaves' ? 'client_closed' : 'connection_lost');
  }
  return old;
}

async function comeBack(
  fleet: Fleet,
  model: Model,
  old: ModelSession,
  { at, transport }: { at: number; transport: 'ws' | 'tcp' },
): Promise<void> {
  const expected = expectedOf(fleet, model, old);
  if (expected === null || ofHolders(fleet, model, old.uid).length > 1) return;
  const { place, gateway } = pick(fleet.running, at);
  const before = new Set(sidsAt(fleet, place));
  const guest = fleet.guest(place, transport);
  const token = old.guest.token!.text;
  const code = await fleet.within('a client comes back', guest.open({ pith: { resume: token } }), OPEN_MS); // prettier-ignore
  expectSame(`the handshake that resumes ${old.sid}`, code, 200);
  const sids = sidsAt(fleet, place).filter((sid) => !before.has(sid));
  expectSame(`new sessions at ${place}`, sids.length, 1);
  const what = `${sids[0]}, which comes back to ${old.sid}`;
  expectSame(what, guest.hasResumed ? 'ok' : 'no', expected);
  model.count(`resumed: ${expected}`);
  const session = new ModelSession(sids[0]!, guest, expected === 'ok' ? old.lineage : sids[0]!);
  model.sessions.set(session.sid, session);
  if (expected === 'ok') goOn(model, old, session);
  // Of whom it goes on from nothing is left, wherever it was.
  if (expected === 'ok' && model.sessions.has(old.sid)) {
    await gone(fleet, old);
    model.close(old, 'resumed');
  }
  if (gateway.registry.bySid(session.sid)!.uid !== session.uid)
    fail(`uid of ${what}`, gateway.registry.bySid(session.sid)!.uid, session.uid);
  look(fleet, model);
}

/** It has what the one before had, for as long. */
function goOn(_model: Model, old: ModelSession, session: ModelSession): void {
  session.uid = old.uid;
  session.bound = old.bound;
  if (old.uid !== '') session.tell(`bound ${old.uid}`);
  for (const [group, { fromMs, byMs }] of old.groups) {
    const its: Membership = { fromMs: fromMs - AGAIN_MS, byMs: byMs + AGAIN_MS };
    session.groups.set(group, its);
  }
}

export const RESUMES = [resume];
