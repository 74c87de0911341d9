/**
 * Planted for the model (`make simulate-model-planted`): mistakes that need no faults, but somebody who knows exactly who
 * is where, and since when.
 */
import type { Planted } from '../planted.ts';

// oxfmt-ignore
export const MODEL: readonly Planted[] = [
  // ---- groups
  {
    name: 'group-keeps-its-subscription',
    why: 'the last member that leaves a group does not end its subscription',
    file: 'src/session/registry.ts',
    find: '    index.delete(name);\n    this.#subscriptions.remove(kind, name);',
    replace: "    index.delete(name);\n    if (kind === 'user') this.#subscriptions.remove(kind, name);",
  },
  {
    name: 'later-join-does-not-stay',
    why: 'a join to the end of the session does not cancel the end that an earlier join has set',
    file: 'src/bus/session-commands.ts',
    find: 'if (groupTtlMs === 0) session.groupEnds.delete(group);\n      else session',
    replace: 'if (groupTtlMs > 0) session',
  },
  {
    name: 'later-join-does-not-prolong',
    why: 'a membership ends when the first join has said, whatever later ones say',
    file: 'src/session/group-ends.ts',
    find: '      this.#ends.set(group, end);\n    }\n    this.#wheel.set(end, ms);',
    replace: '      this.#ends.set(group, end);\n      this.#wheel.set(end, ms);\n    }',
  },
  {
    name: 'left-group-ends-again',
    why: 'the end of a membership is not cancelled when it is left before, and changes the session once more',
    file: 'src/session/registry.ts',
    find: '    session.groupEnds?.delete(group);\n',
    replace: '',
  },
  {
    name: 'group-pages-end-early',
    why: 'a page of groups that is full is taken for the last one, where no gateway has more than it gave',
    file: 'src/bus/group-pages.ts',
    find: 'more: end !== null || names.length > limit',
    replace: 'more: end !== null',
  },
  {
    name: 'token-keeps-the-first-end',
    why: 'a join to the end of the session does not reach the token, which still says when the membership ends',
    file: 'src/bus/session-commands.ts',
    find: '    // Its token says when they end.\n    session.resuming?.changed();',
    replace: '    if (groupTtlMs > 0) session.resuming?.changed();',
  },

  // ---- uids
  {
    name: 'unbound-keeps-the-user',
    why: 'a session that is unbound stays with its user',
    file: 'src/session/registry.ts',
    find: "if (session.uid !== '') this.#detach('user', session.uid, session);\n    session.uid = uid;",
    replace: "if (session.uid !== '' && uid !== '') this.#detach('user', session.uid, session);\n    session.uid = uid;",
  },
  {
    name: 'refused-bind-keeps-its-claim',
    why: 'a gateway that has asked for a uid goes on listening for it when it did not get it',
    file: 'src/bus/uid-asks.ts',
    find: 'if (registry.byUid(uid).size === 0) registry.unhold(uid);',
    replace: '',
  },
  {
    name: 'the-new-one-is-closed',
    why: 'of two sessions of a uid the older one stays',
    file: 'src/bus/uid-claims.ts',
    find: 'if (!isNewer(claim, placeOf(session))) this.#say(session);',
    replace: 'if (isNewer(claim, placeOf(session))) this.#say(session);',
  },
  {
    name: 'newer-by-the-clock',
    why: 'a player whose new gateway has a slow clock loses to its own older session',
    file: 'src/bus/uid-claims.ts',
    find: 'else if (claim.ageMs > this.#ageOf(session) &&',
    replace: 'else if (claim.ageMs < 0 &&',
  },
  {
    name: 'one-too-many-stays',
    why: 'with max_sessions_per_uid there may be one session more, if it is elsewhere',
    file: 'src/bus/uid-claims.ts',
    find: 'const floor = all[limit.sessionsMax - 1];',
    replace: 'const floor = all[limit.sessionsMax];',
  },
  {
    name: 'who-is-gone-keeps-the-place',
    why: 'a session whose client shows no sign of life is not closed when another one gets its uid',
    file: 'src/bus/uid-asks.ts',
    find: "for (const session of sessions) if (session.uid === uid) session.close('logged_in_elsewhere');",
    replace: '',
  },

  // ---- what is asked, and told
  {
    name: 'presence-forgets-a-gateway',
    why: 'the sessions of a user are those of the gateway that has answered last',
    file: 'src/bus/presence.ts',
    find: 'user.sessions += sessions;',
    replace: 'user.sessions = sessions;',
  },
  {
    name: 'except-is-forgotten',
    why: 'a target does not leave out the users whom it excepts',
    file: 'src/bus/selection.ts',
    find: "(session.uid === '' || !uids.has(session.uid)) &&",
    replace: '',
  },
  {
    name: 'sessions-pages-end-early',
    why: 'a page that is full is taken for the last one, where no gateway has more than it gave',
    file: 'src/bus/fleet-commands.ts',
    find: 'const more = all.length > page.limit || parts.some((part) => part.more);',
    replace: 'const more = parts.some((part) => part.more);',
  },
  {
    name: 'unbound-names-nobody',
    why: 'the event of an unbind names the uid that the session has then, which is none',
    file: 'src/session/changes.ts',
    find: 'registry.events.unbound(session, uidBefore);',
    replace: 'registry.events.unbound(session, session.uid);',
  },
  {
    name: 'who-has-stopped-is-lost',
    why: 'a gateway that has stopped in order is announced as lost',
    file: 'src/bus/watched-gateways.ts',
    find: "if (typeof gateway === 'string') this.#watched.delete(gateway);",
    replace: '',
  },
  {
    name: 'gate-leads-to-who-drains',
    why: 'a gateway that drains goes on telling the gates of the others that it has room',
    file: 'src/bus/gate.ts',
    find: 'const room = this.#isReady ? Math.max(0, free) : 0;',
    replace: 'const room = Math.max(0, free);',
  },
  {
    name: 'gateway-long-gone-is-told-of',
    why: 'a gateway that was given up is told of to new ones, who wait for it in turn',
    file: 'src/bus/known-gateways.ts',
    find: 'return heardAt > since && !isAnnounced;',
    replace: 'return heardAt > 0 || since > 0 || isAnnounced;',
  },

  // ---- time
  {
    name: 'wheel-skips-after-a-pause',
    why: 'what was due during a pause of the process waits for the next turn of the wheel, twenty seconds',
    file: 'src/timer-wheel.ts',
    find: 'let tick = Math.max(this.#tick + 1, until - SLOTS + 1);',
    replace: 'let tick = until;',
  },
  {
    name: 'wheel-fires-a-turn-early',
    why: 'what is due in more than a turn of the wheel, twenty seconds, is late a turn too early',
    file: 'src/timer-wheel.ts',
    find: 'if (entry.wheelTick <= until) moveTo(this.#late, entry);',
    replace: 'moveTo(this.#late, entry);',
  },
];
