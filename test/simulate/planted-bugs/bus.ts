/** Planted on the bus: subscriptions, other gateways, backends there, events. */
import type { Planted } from '../planted.ts';

// oxfmt-ignore
export const BUS: readonly Planted[] = [
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
    file: 'src/upstream/nats/wanted-subscriptions.ts',
    find: '        this.#wanted.delete(wanted);\n        wanted.live?.unsubscribe();',
    replace: '        if (wanted.live === null) this.#wanted.delete(wanted);\n        else wanted.live.unsubscribe();',
  },
  {
    name: 'subscribed-while-down-is-lost',
    why: 'what is subscribed while there is no connection is never subscribed',
    file: 'src/upstream/nats/wanted-subscriptions.ts',
    find: '    this.#wanted.add(wanted);\n',
    replace: '    if (this.#connection !== null || this.#wanted.size < 20) this.#wanted.add(wanted);\n',
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
    find: 'silentGateways: [...new Set([...silent, ...lost, ...back])]',
    replace: 'silentGateways: []',
  },
  {
    name: 'gateway-is-never-given-up',
    why: 'gateways that are gone are waited for by every call, and named silent, for ever',
    file: 'src/bus/known-gateways.ts',
    find: '    this.#known.delete(gateway);\n    if (known === undefined || !(known.answered || remembers)) return;',
    replace: '    if (known === undefined || !hasLeft) return;\n    this.#known.delete(gateway);',
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

  // ---- coming back with a token
  {
    name: 'resume-forgets-the-groups',
    why: 'who comes back has its uid and data, and is in none of its groups',
    file: 'src/bus/session-commands.ts',
    find: 'set: had.data, join: had.groups.map(({ name }) => name)',
    replace: 'set: had.data, join: []',
  },
  {
    name: 'who-came-back-does-not-wait',
    why: 'the answer to a bind or a join leaves before the bus has confirmed the subscription, where the session came back by a token',
    file: 'src/session/changes.ts',
    find: 'if (pending.length === 0) return null;',
    replace: "if (pending.length === 0 || (session.resuming !== null && session.resuming.resumedFrom !== '' && session.version > 1)) return null;",
  },
  {
    name: 'kick-leaves-the-tokens',
    why: 'a player who was kicked comes back by the token that it has',
    file: 'src/resume/resume.ts',
    find: "  'kick',\n  'closed',",
    replace: "  'closed',",
  },
  {
    name: 'older-of-a-lineage-stays',
    why: 'who comes back to the same gateway leaves its older session there, if its connection is open',
    file: 'src/resume/lineages.ts',
    find: "this.add({ ...coming, session });\n    live?.session.close('resumed');",
    replace: 'this.add({ ...coming, session });',
  },

  // ---- how many sessions a uid has
  {
    name: 'loser-keeps-its-session',
    why: 'a session that loses its uid to one that was there all the time, out of reach, is reported, and not closed',
    file: 'src/bus/uid-claims.ts',
    find: "    session.close('logged_in_elsewhere');",
    replace: "    else session.close('logged_in_elsewhere');",
    seed: '52',
  },
  {
    name: 'holder-counts-as-silent',
    why: 'a gateway that answers that it has the uid, and that its client is alive, is taken for one that says nothing',
    file: 'src/bus/uid-asks.ts',
    find: "heard = alive ? 'held' : 'free';",
    replace: "heard = alive ? 'silent' : 'free';",
  },

  // ---- what operators order for the whole fleet
  {
    name: 'copies-are-not-compared',
    why: 'a gateway that has missed an order, and was never without a connection, does not ask for it',
    file: 'src/bus/order-channel.ts',
    find: '      this.#compare(gateway, sums, this.#orders);\n',
    replace: '',
  },
];
