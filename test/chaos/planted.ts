/**
 * Bugs to be planted, one at a time, into a copy of the tree: each row names what must find it, and by which words. There
 * is one at least for each scenario, and for the soak.
 */
import type { Planted } from '../simulate/planted.ts';

export type PlantedInProcess = Planted & {
  /** What is run, and its environment. */
  readonly by: 'chaos' | 'soak';
  readonly with: Readonly<Record<string, string>>;
  /** In what it prints. */
  readonly says: string;
};

const KILL = { by: 'chaos', with: { SCENARIO: 'kill-500', RUNS: '1', SESSIONS: '60' } } as const;
const TABLE = { by: 'chaos', with: { SCENARIO: 'fleet-table', RUNS: '1' } } as const;
const ROLLOUT = { by: 'chaos', with: { SCENARIO: 'backends-rollout', RUNS: '2' } } as const;
const SOAK = { by: 'soak', with: { T: '40' } } as const;
const WATCHED = 'src/bus/watched-gateways.ts';

export const PLANTED: readonly PlantedInProcess[] = [
  {
    name: 'loss-is-noticed-late',
    why: 'a gateway that is killed is announced after 11 s',
    file: WATCHED,
    find: 'LOST_AFTER_MS = 7_500',
    replace: 'LOST_AFTER_MS = 11_000',
    ...KILL,
    says: 's until all were told',
  },
  {
    name: 'loss-is-said-for-ever',
    why: 'the gateway that has announced a loss does not know afterwards that it is known',
    file: WATCHED,
    find: 'known.lostTerm = term;',
    replace: 'known.lostTerm = 0;',
    ...KILL,
    says: 'FAULT: lost was said',
  },
  {
    name: 'backends-are-not-told',
    why: 'backends that all gateways reach are not told of the loss',
    file: 'src/bus/gateway-watch.ts',
    find: 'this.#listener.gatewayLost(lost, isSpeaker);',
    replace: 'this.#listener.gatewayLost(lost, false);',
    ...KILL,
    says: 'a backend was told 0 times',
  },
  {
    name: 'loss-is-told-too-soon',
    why: 'a gateway whose process is stopped for 5.5 s is announced as lost',
    file: WATCHED,
    find: 'LOST_AFTER_MS = 7_500',
    replace: 'LOST_AFTER_MS = 4_500',
    by: 'chaos',
    with: { SCENARIO: 'stall', RUNS: '1' },
    says: 's was told to be lost',
  },
  {
    name: 'events-of-a-cut-are-not-told',
    why: 'what happens while the bus is away is not published when it is back',
    file: 'src/bus/event-queue.ts',
    find: 'this.#next = this.#head;\n    this.#sent = this.#confirmed;',
    replace: 'this.#next = this.#events.length;\n    this.#sent = this.#confirmed;',
    by: 'chaos',
    with: { SCENARIO: 'cut', RUNS: '1' },
    says: 'who hung up was not told closed',
  },
  {
    name: 'connects-again-late',
    why: 'a gateway whose connection was lost waits for long before it connects again',
    file: 'src/upstream/nats/nats-connector.ts',
    find: 'new Backoff(AGAIN_MS, NATS_AGAIN_MS_MAX,',
    replace: 'new Backoff(14_000, 14_000,',
    by: 'chaos',
    with: { SCENARIO: 'cut', RUNS: '1' },
    says: 's was told to be lost',
  },
  {
    name: 'lame-duck-is-not-left',
    why: 'a gateway stays with a server that is about to stop until it is closed',
    file: 'src/upstream/nats/dial.ts',
    find: 'handler.onLameDuck();',
    replace: '',
    by: 'chaos',
    with: { SCENARIO: 'bus-loss', RUNS: '2', SESSIONS: '30' },
    says: 'requests by NATS were refused',
  },
  {
    name: 'requests-do-not-wait',
    why: 'what comes before another server is reached is refused',
    file: 'src/upstream/nats/connection-state.ts',
    find: 'return this.#stopWaiting !== null;',
    replace: 'return false;',
    by: 'chaos',
    with: { SCENARIO: 'bus-loss', RUNS: '1', SESSIONS: '30' },
    says: 'requests by NATS were refused',
  },
  {
    name: 'replay-begins-too-soon',
    why: 'a player who comes back gets the last push once more',
    file: 'src/bus/replay.ts',
    find: 'Math.max(kept?.seq ?? -1, cursorOf(cursor)) : -1;',
    replace: 'Math.max(kept?.seq ?? -1, cursorOf(cursor)) - 1 : -1;',
    by: 'chaos',
    with: { SCENARIO: 'rolling', RUNS: '1', SESSIONS: '50' },
    says: 'kept pushes came twice',
  },
  {
    name: 'calls-end-with-their-address',
    why: 'a call that no backend has seen is answered 503 when its address goes away',
    file: 'src/upstream/grpc/unary-calls.ts',
    find: 'return request !== null && this.#transport.connection.isUnsent(request, error);',
    replace: 'return false;',
    ...ROLLOUT,
    says: 'requests were answered 503 BACKEND_AWAY',
  },
  {
    name: 'the-next-process-is-sooner',
    why: 'a session whose answer is due from a process that leaves is served by the next one meanwhile',
    file: 'src/upstream/ipc/ipc-connection.ts',
    find: 'if (call.isInLane) call.lane.hold();',
    replace: 'void call;',
    ...ROLLOUT,
    says: 'the order of requests was broken',
  },
  {
    name: 'an-example-ends-at-once',
    why: 'an example does not answer what it has when it is told to stop',
    file: 'deploy/examples/chat-ts-grpc/main.ts',
    find: 'server.tryShutdown(() => process.exit(0));',
    replace: 'process.exit(0);',
    by: 'chaos',
    with: { SCENARIO: 'examples-rollout', RUNS: '1' },
    says: 'requests were answered 503 BACKEND_AWAY',
  },
  {
    name: 'where-is-not-looked-at',
    why: 'a push reaches sessions of the target whose data does not match',
    file: 'src/bus/selection.ts',
    find: '(holds === null || holds(session.data));',
    replace: '(holds === null || session.data !== null);',
    ...TABLE,
    says: 'all where lvl is 2: is',
  },
  {
    name: 'drain-closes-in-a-burst',
    why: 'a drain closes ten times as many sessions a second as it should',
    file: 'src/shutdown.ts',
    find: '{ budgetMs: budgetMs ?? budget, perSecond, signal',
    replace: '{ budgetMs: budgetMs ?? budget, perSecond: 10 * perSecond, signal',
    by: 'chaos',
    with: { SCENARIO: 'rollout', RUNS: '1', SESSIONS: '2000' },
    says: 'sessions were closed in a second',
  },
  {
    name: 'whoever-waits-is-moved',
    why: 'sessions are closed for another gateway though they wait for an answer',
    file: 'src/session/departures.ts',
    find: 'return inFlight === 0 && outbox.unsentBytes === 0;',
    replace: 'return outbox.unsentBytes === 0;',
    by: 'chaos',
    with: { SCENARIO: 'rebalance', RUNS: '1', SESSIONS: '300' },
    says: 'who had a request in flight',
  },
  {
    name: 'conflict-is-not-told',
    why: 'a session that is closed after a split is not announced as a conflict',
    file: 'src/bus/uid-claims.ts',
    find: 'if (conflict.length > 0) this.#parts.events.conflict(session, conflict);',
    replace: '',
    ...TABLE,
    says: 'kick_old: when it is back: is',
  },
  {
    name: 'subscription-stays',
    why: 'the subscription of a user or group is kept when the last session has left',
    file: 'src/session/registry.ts',
    find: 'index.delete(name);\n    this.#subscriptions.remove(kind, name);',
    replace: 'index.delete(name);',
    ...SOAK,
    says: 'FAULT: subscriptions:',
  },
  {
    name: 'session-is-kept',
    why: 'whatever has been bound once is kept for ever',
    file: 'src/bus/uid-claims.ts',
    find: '#since = new WeakMap<Session, number>();',
    replace: '#since = new Map<Session, number>();',
    ...SOAK,
    says: 'FAULT: the heap has grown',
  },
];
