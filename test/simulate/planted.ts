/**
 * Bugs to be planted, one at a time, each a small change that a developer could make: what goes on without faults goes on
 * with it, and only an order of events shows it. `make simulate-planted` finds every one, or the simulation is not good
 * enough.
 */

export type Planted = {
  readonly name: string;
  /** What goes wrong, in one sentence. */
  readonly why: string;
  /** From the top of the repository. */
  readonly file: string;
  /** Once in the file. */
  readonly find: string;
  readonly replace: string;
};

// oxfmt-ignore
export const PLANTED: readonly Planted[] = [
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
    find: 'admission.leave(target.backendOrdinal);\n    breakers',
    replace: "if (state !== 'retrying') admission.leave(target.backendOrdinal);\n    breakers",
  },
  {
    name: 'breaker-waits-for-ever',
    why: 'when the client of the one message that tries a backend again has gone, no other one is let through',
    file: 'src/relay/breaker.ts',
    find: "if (outcome === 'client_gone') this.#trying = false;\n      else this.#close();",
    replace: "if (outcome !== 'client_gone') this.#close();",
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
    find: 'this.#version === session.version && this.#ordinal === target.ordinal',
    replace: 'this.#version >= 0 && this.#ordinal === target.ordinal',
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
    file: 'src/session/drain.ts',
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

  // ---- the bus: subscriptions, other gateways
  {
    name: 'second-session-does-not-wait',
    why: 'the second session of a user, or member of a group, does not wait for the confirmation that the first waits for',
    file: 'src/bus/subscriptions.ts',
    find: 'if (known !== undefined) return this.#waitFor(known);',
    replace: 'if (known !== undefined) return null;',
  },
  {
    name: 'user-who-comes-back-is-not-subscribed',
    why: 'a user whose last session has gone is believed to be subscribed to still, and gets nothing when he comes back',
    file: 'src/bus/subscriptions.ts',
    find: '    this.#watched.delete(subject);\n',
    replace: '',
  },
  {
    name: 'unsubscribed-comes-back',
    why: 'what was unsubscribed is subscribed again with the next connection',
    file: 'src/upstream/nats/nats-connector.ts',
    find: '        this.#wanted.delete(wanted);\n        wanted.live?.unsubscribe();',
    replace: '        if (wanted.live === null) this.#wanted.delete(wanted);\n        else wanted.live.unsubscribe();',
  },
  {
    name: 'subscribed-while-down-is-lost',
    why: 'what is subscribed while there is no connection is never subscribed',
    file: 'src/upstream/nats/nats-connector.ts',
    find: '    this.#wanted.add(wanted);\n    if (this.#nc !== null && !this.#nc.isClosed) this.#subscribe(wanted);',
    replace: '    if (this.#nc !== null || !this.#everUp) this.#wanted.add(wanted);\n    if (this.#nc !== null && !this.#nc.isClosed) this.#subscribe(wanted);',
  },
  {
    name: 'backoff-has-no-end',
    why: 'each failure lets the next attempt wait longer, without a bound, and no success makes it short again',
    file: 'src/backoff.ts',
    find: 'const mostMs = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#failures++, 16));\n    return mostMs * (0.5 + this.#random.number() / 2);\n  }\n\n  reset(): void {\n    this.#failures = 0;',
    replace: 'const mostMs = this.#minMs * 4 ** Math.min(this.#failures++, 16);\n    return mostMs * (0.5 + this.#random.number() / 2);\n  }\n\n  reset(): void {',
  },
  {
    name: 'silent-gateway-is-waited-for',
    why: 'a call to the other gateways waits for one that is gone until it is known to be gone',
    file: 'src/bus/request-many.ts',
    find: "cancel = clock.setTimer(waitMs, () => {\n      end('over');\n    });",
    replace: '',
  },
  {
    name: 'silent-gateway-is-not-named',
    why: 'a count from which a gateway is missing is given as if it were whole',
    file: 'src/bus/gateway-peers.ts',
    find: 'silentGateways: [...new Set([...silent, ...lost])]',
    replace: 'silentGateways: []',
  },
  {
    name: 'gateway-that-came-back-is-not-waited-for',
    why: 'a gateway that was given up, and is back, is missing from counts',
    file: 'src/bus/known-gateways.ts',
    find: 'return this.#known.size === 0 || this.#lost.size > 0;',
    replace: 'return this.#known.size === 0;',
  },
  {
    name: 'gateway-is-never-given-up',
    why: 'gateways that are gone are waited for by every call, and named silent, for ever',
    file: 'src/bus/known-gateways.ts',
    find: 'if (known === undefined || ++known.silences < SILENCES_MAX) return;',
    replace: 'if (known === undefined || known.answered || ++known.silences < SILENCES_MAX) return;',
  },

  // ---- backends on NATS
  {
    name: 'number-of-a-call-is-used-again',
    why: 'a late answer is taken for the answer to the call that has got its number',
    file: 'src/upstream/call-table.ts',
    find: 'let id = this.#next;',
    replace: 'let id = 1;',
  },
  {
    name: 'cancelled-call-is-published',
    why: 'a call that ends in the turn in which it came is published after it, from a slot that is free or another message’s',
    file: 'src/upstream/nats/nats-upstream.ts',
    find: 'if (at >= 0) turn[at] = null;',
    replace: 'if (at >= 0 && turn === this.#publishing) turn[at] = null;',
  },
  {
    name: 'calls-outlive-the-connection',
    why: 'calls that wait when the connection to NATS breaks are not failed, and the next connection’s lose their numbers to them',
    file: 'src/upstream/nats/nats-answers.ts',
    find: "for (const call of this.calls.takeAll()) call.fail(failure('BUS_AWAY'));",
    replace: "for (const call of this.calls.takeAll()) if (call.idempotent) call.fail(failure('BUS_AWAY'));",
  },

  // ---- backends on gRPC: links, endpoints, sessions
  {
    name: 'calls-outlive-the-link',
    why: 'calls on a link that has ended are not failed',
    file: 'src/upstream/link/link.ts',
    find: "for (const call of this.calls.takeAll()) call.fail(failure('BACKEND_AWAY'));",
    replace: "if (!unimplemented) for (const call of this.calls.takeAll()) if (call.idempotent) call.fail(failure('BACKEND_AWAY'));",
  },
  {
    name: 'credit-is-overdrawn',
    why: 'one message more is sent than the backend has given credit for',
    file: 'src/upstream/link/send-window.ts',
    find: 'return this.#frames < 1 ||',
    replace: 'return this.#frames < 0 ||',
  },
  {
    name: 'cancelled-call-answers-another',
    why: 'the end of a Handle call that was cancelled ends whatever its slot serves by then',
    file: 'src/upstream/grpc/unary-calls.ts',
    find: 'if (call.generation !== generation || call.pending !== unary) return;',
    replace: '',
  },
  {
    name: 'session-moves-while-in-flight',
    why: 'a session leaves an endpoint that is being left while something of it is in flight there',
    file: 'src/upstream/pool/endpoint-sessions.ts',
    find: '      session.lane.holdUntilEmpty(() => {\n        if (!this.#kept.has(session)) return;\n        this.release(session, isKnown());\n        onReleased?.(session);\n      });',
    replace: '      this.release(session, isKnown());\n      onReleased?.(session);',
  },
  {
    name: 'rebalance-moves-the-busy',
    why: 'a session is brought to another endpoint while something of it is in flight',
    file: 'src/upstream/pool/endpoint-sessions.ts',
    find: 'if (session.lane.inFlight === 0 && session.lane.waiting === 0) {',
    replace: 'if (session.lane.waiting === 0) {',
  },
  {
    name: 'key-moves-the-busy',
    why: 'a session whose key leads elsewhere goes there while something of it is in flight',
    file: 'src/upstream/pool/session-affinity.ts',
    find: 'if (lane.inFlight <= (isInLane ? 1 : 0)) return true;',
    replace: 'if (lane.waiting === 0 || isInLane) return true;',
  },
  {
    name: 'first-backend-is-not-told',
    why: 'a backend that a session has been moved away from is not told of its end',
    file: 'src/upstream/pool/endpoint-sessions.ts',
    find: '    if (known) this.#known.add(session);\n',
    replace: '',
  },
  {
    name: 'replaced-link-forgets',
    why: 'the backend of a link that is replaced is not told of the end of sessions that it knew before',
    file: 'src/upstream/pool/endpoint-pool.ts',
    find: '    old.sessions.handOver(next.sessions);\n',
    replace: '',
  },
  {
    name: 'closed-goes-to-one',
    why: 'of several backends that have had messages of a session only the first is told of its end',
    file: 'src/upstream/link/link-upstream.ts',
    find: "for (const { transport } of had) transport.tell('closed', event);",
    replace: "had[0]!.transport.tell('closed', event);",
  },
  {
    name: 'each-link-tells-the-end',
    why: 'a backend with several links is told of the end of a session by each of them',
    file: 'src/upstream/pool/session-affinity.ts',
    find: 'return oneOfEach(had);',
    replace: 'return had;',
  },
  {
    name: 'retired-link-does-not-tell',
    why: 'the end of a session whose link is being replaced is told to nobody',
    file: 'src/upstream/pool/session-affinity.ts',
    find: 'const all = endpoint === null ? this.#pool.list : [endpoint, ...this.#pool.list];',
    replace: 'const all = this.#pool.list;',
  },
  {
    name: 'attached-link-stays',
    why: 'an attached link that ends with calls in flight is chosen still',
    file: 'src/upstream/dial-in/attached-link.ts',
    find: 'this.endpoint.lost(why);',
    replace: 'if (this.inFlight === 0) this.endpoint.lost(why);',
  },
  {
    name: 'watch-ends-with-the-call',
    why: 'a peer that is gone is not found where calls are given up before it is',
    file: 'src/upstream/liveness.ts',
    find: 'if (isNews && !this.#peer.isAwaited()) {',
    replace: 'if (!this.#peer.isAwaited()) {',
  },
  {
    name: 'leaving-forever',
    why: 'an endpoint whose backend has asked for new work to go elsewhere gets none when the backend is back',
    file: 'src/upstream/pool/endpoint.ts',
    find: 'if (this.#onIdle === null) this.#isLeaving = false;',
    replace: '',
  },
  {
    name: 'reconnects-once',
    why: 'an endpoint is not tried again when the first attempt after a loss fails',
    file: 'src/upstream/reconnect.ts',
    find: '    this.#upSince = null;\n    this.#wheel.set(this.#again, this.#backoff.next());',
    replace: '    if (this.#upSince !== null) this.#wheel.set(this.#again, this.#backoff.next());\n    this.#upSince = null;',
  },

  // ---- events on the bus
  {
    name: 'events-are-lost-with-the-connection',
    why: 'events that a broken connection may have swallowed are not published again',
    file: 'src/bus/event-queue.ts',
    find: '    this.#next = this.#head;\n    this.#sent = this.#confirmed;',
    replace: '',
  },
  {
    name: 'returns-without-its-sessions',
    why: 'a gateway that was cut off does not announce its sessions again',
    file: 'src/bus/gateway-watch.ts',
    find: 'this.#restatement?.begin();',
    replace: '',
  },
  {
    name: 'nobody-says-that-it-is-lost',
    why: 'a gateway that is killed is not announced',
    file: 'src/bus/gateway-watch.ts',
    find: 'for (const lost of this.#others.look(passed)) this.#announce(lost);',
    replace: 'this.#others.look(passed);',
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
    find: 'if (entry.wheelTick <= until) moveTo(late, entry);',
    replace: 'moveTo(late, entry);',
  },
];

/** The file's text with the bug. @throws {Error} when the text to be changed is not there exactly once. */
export function plant({ name, file, find, replace }: Planted, text: string): string {
  const parts = text.split(find);
  if (parts.length !== 2)
    throw new Error(
      `${name}: its text is ${parts.length - 1} times in ${file}; it must be there once`,
    );
  return parts.join(replace);
}
