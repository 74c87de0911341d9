/** Planted in what a message and a session go through on one gateway. */
import type { Planted } from '../planted.ts';

// oxfmt-ignore
export const SESSIONS: readonly Planted[] = [
  // ---- the relay: pooled slots, retries, ends
  {
    name: 'slot-keeps-idempotent',
    why: 'a slot that served an idempotent route once has every later message sent again',
    file: 'src/relay/relay-call.ts',
    find: 'this.idempotent = target.idempotent;',
    replace: 'this.idempotent ||= target.idempotent;',
  },
  {
    name: 'retry-outlives-its-call',
    why: 'a retry whose client has gone meanwhile is sent, in a slot that is free or another message’s',
    file: 'src/relay/retries.ts',
    find: "if (call.generation !== generation || call.state !== 'retrying') return;",
    replace: '',
  },
  {
    name: 'retry-leaks-admission',
    why: 'a message that ends while it waits to be sent again stays in flight for ever',
    file: 'src/relay/relay-call.ts',
    find: 'admission.leave(target.backendOrdinal, this.heldBytes);\n    const now',
    replace: "if (state !== 'retrying') admission.leave(target.backendOrdinal, this.heldBytes);\n    const now",
  },

  // ---- clients next to each other
  {
    name: 'half-packets-share-a-buffer',
    why: 'what has come of a packet is kept where another client’s is kept, too: one that sends half a packet spoils others’',
    file: 'src/held.ts',
    find: 'const grown = Buffer.allocUnsafeSlow(size);',
    replace: 'const one = Held as unknown as { kept?: Buffer };\n      const grown = size > 0 ? (one.kept ??= Buffer.alloc(SMALL_BYTES)) : NOTHING;',
  },

  // ---- a session: its lane, its outbox, its end
  {
    name: 'lane-is-overtaken',
    why: 'what need not wait for itself passes those that wait',
    file: 'src/session/lane.ts',
    find: 'message.unordered || (this.waiting === 0 && this.#mayStart(message))',
    replace: 'message.unordered || this.#mayStart(message)',
  },
  {
    name: 'lane-forgets-who-is-in-flight',
    why: 'any message that ends lets the next exclusive one start, although one is in flight',
    file: 'src/session/lane.ts',
    find: 'if (message.exclusive && !message.unordered) this.#exclusiveInFlight = false;',
    replace: 'this.#exclusiveInFlight = false;',
  },
  {
    name: 'cork-is-a-flag',
    why: 'the first of two confirmations lets out what waits for the second',
    file: 'src/session/outbox.ts',
    find: 'this.#corks--;\n    if (this.#corks === 0) this.#touch();',
    replace: 'this.#corks = 0;\n    this.#touch();',
  },
  {
    name: 'answer-does-not-wait-for-the-bus',
    why: 'the answer to a bind leaves before the bus has confirmed the subscription',
    file: 'src/session/changes.ts',
    find: 'session.outbox.cork();\n  return Promise.all(pending).then(() => {\n    session.outbox.uncork();\n  });',
    replace: 'return Promise.all(pending).then(() => {});',
  },
  {
    name: 'version-is-not-compared',
    why: 'a change that is to follow a certain version is made to another',
    file: 'src/session/changes.ts',
    find: 'ifVersion !== undefined && ifVersion !== 0 && ifVersion !== session.version',
    replace: 'ifVersion !== undefined && ifVersion < session.version - 100',
  },
  {
    name: 'facts-are-stale',
    why: 'what a backend is told of a session is kept when the session changes',
    file: 'src/upstream/facts-cache.ts',
    find: 'this.#version === session.version && this.#forward === target.forward',
    replace: 'this.#version >= 0 && this.#forward === target.forward',
  },
  {
    name: 'cork-of-the-first-bind-stays',
    why: 'the outbox of a session that is closed for sending is corked, and stays so when the confirmation comes late',
    file: 'src/session/changes.ts',
    find: 'return Promise.all(pending).then(() => {\n    session.outbox.uncork();\n  });',
    replace: "const { uid } = session;\n  return Promise.all(pending).then(() => {\n    if (session.uid === uid) session.outbox.uncork();\n  });",
  },
  {
    name: 'groups-outlive-the-session',
    why: 'a session that ends stays in its groups',
    file: 'src/session/registry.ts',
    find: "    for (const group of session.groups) this.#detach('group', group, session);\n",
    replace: '',
  },
  {
    name: 'unbind-keeps-the-user',
    why: 'a session that is unbound, or bound to another, stays with its first user',
    file: 'src/session/registry.ts',
    find: "if (session.uid !== '') this.#detach('user', session.uid, session);\n    session.uid = uid;",
    replace: 'session.uid = uid;',
  },
  {
    name: 'last-device-takes-the-subscription',
    why: 'the first of two sessions of a user that goes ends the subscription that the second needs',
    file: 'src/session/registry.ts',
    find: 'if (members === undefined || !members.delete(session) || members.size > 0) return;\n    index.delete(name);',
    replace: 'if (members === undefined || !members.delete(session)) return;\n    if (members.size === 0) index.delete(name);',
  },
  {
    name: 'drain-cuts-what-is-in-flight',
    why: 'a drain closes sessions that wait for an answer',
    file: 'src/session/departures.ts',
    find: 'return inFlight === 0 && outbox.unsentBytes === 0;',
    replace: 'return outbox.unsentBytes === 0;',
  },
  {
    name: 'drain-does-not-give-up',
    why: 'when the time of a drain is over, requests in flight are not answered before their sessions are closed',
    file: 'src/session/drain.ts',
    find: "    session.giveUp(failure('DRAINING'));\n",
    replace: '',
  },
];
