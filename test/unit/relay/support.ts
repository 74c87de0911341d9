/** A relay with backends that answer when the test says so, and clients on byte pipes. */
import { type Failure, failure } from '../../../src/errors.ts';
import { BackendTroubles } from '../../../src/failures/backend-troubles.ts';
import { Failures } from '../../../src/failures/failures.ts';
import { Admission } from '../../../src/relay/admission.ts';
import { MessageReport } from '../../../src/relay/message-report.ts';
import type { MessageTraces } from '../../../src/relay/message-traces.ts';
import type { RelayParts } from '../../../src/relay/relay-parts.ts';
import { Maintenance } from '../../../src/orders/maintenance.ts';
import { type LagWindow, Shedding } from '../../../src/relay/shedding.ts';
import { Relay } from '../../../src/relay/relay.ts';
import { RouteTable } from '../../../src/routing/route-table.ts';
import type { Rule } from '../../../src/routing/rule.ts';
import type { Session } from '../../../src/session/session.ts';
import type { SessionLimits } from '../../../src/session/session-parts.ts';
import type { Call, PendingCall } from '../../../src/upstream/call.ts';
import type { ConnectAsk, Upstream } from '../../../src/upstream/upstream.ts';
import { RouteActivity } from '../../../src/relay/route-activity.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import type { ManualClock } from '../../support/clock.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { seededRandom } from '../../support/random.ts';
import { keptLog } from '../../support/report.ts';
import { activate, makeWorld } from '../session/support.ts';
import type { Accepted, Reply } from '../../../src/contract/commands.ts';

export const REPLY: Reply = { body: null, failure: null, patch: null, pushes: [], close: null };

/** The far end. */
export class ScriptedBackend implements Upstream, PendingCall {
  readonly oneAtATime = false;
  /** Sent and not ended, oldest first. */
  readonly calls: Call[] = [];
  readonly cancelled: number[] = [];
  sent = 0;
  /** What becomes of a call while it is being sent. */
  onSend: (call: Call) => void = () => {};
  /** What becomes of others while a call is cancelled: there is room for them. */
  onCancel: () => void = () => {};

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    this.sent++;
    call.pending = this;
    this.calls.push(call);
    this.onSend(call);
  }

  /** The call is the backend's no more: end it next. */
  take(at = 0): Call {
    const call = this.calls.splice(at, 1)[0]!;
    call.pending = null;
    return call;
  }

  cancel(call: Call): void {
    this.cancelled.push(call.rawId);
    call.pending = null;
    const at = this.calls.indexOf(call);
    if (at >= 0) this.calls.splice(at, 1);
    this.onCancel();
  }

  connect(_ask: ConnectAsk): Promise<Accepted | Failure> {
    return Promise.reject(new Error('nobody asks'));
  }

  onSessionClosed(): void {}

  clientSpan() {
    return { name: 'scripted', attributes: { 'scripted.by': 'a test' } };
  }

  info() {
    return { kind: 'reply', addresses: 1, healthy: 1 } as const;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const STANDARD = {
  timeoutMs: 5_000,
  to: '',
  join: '',
  otherwise: 'error',
  forward: [],
  bound: false,
  roles: [],
  codec: 'auto',
  method: '',
  path: '',
  pushRoute: '',
  idempotent: false,
  rate: 0,
  split: null,
  rename: '',
} as const;
const RULES: readonly Rule[] = [
  { ...STANDARD, match: 'keep.*', backend: 'one', order: 'keep' },
  { ...STANDARD, match: 'serial.*', backend: 'one', order: 'serial' },
  { ...STANDARD, match: 'none.*', backend: 'one', order: 'none', to: '{uid}' },
  { ...STANDARD, match: 'again.*', backend: 'one', order: 'none', idempotent: true },
  { ...STANDARD, match: 'join.*', backend: 'one', order: 'keep', join: 'room.{data.room}' },
  { ...STANDARD, match: 'join-none.*', backend: 'one', order: 'none', join: 'hall' },
  { ...STANDARD, match: 'bound.*', backend: 'one', order: 'keep', bound: true },
  { ...STANDARD, match: 'staff.*', backend: 'one', order: 'keep', roles: ['admin', 'support'] },
  { ...STANDARD, match: 'rated.*', backend: 'one', order: 'none', rate: 2 },
  { ...STANDARD, match: 'rare.*', backend: 'one', order: 'none', rate: 1, bound: true },
];

/** Writes down how messages end, in a few words. */
class RecordingReport extends MessageReport {
  readonly #words: string[];

  constructor(words: string[], clock: ManualClock, traces: MessageTraces | null = null) {
    const routes = new RouteActivity(new TimerWheel(clock));
    super({
      ...{ clock, metrics: new Metrics(), log: keptLog().log, traces, tellsRefs: false, routes },
      ...{ failures: new Failures(), troubles: new BackendTroubles() },
    });
    this.#words = words;
  }

  override done(...done: Parameters<MessageReport['done']>): void {
    super.done(...done);
    const [, outcome] = done;
    this.#words.push(`done ${outcome}`);
  }

  override badReply(call: Call, why: Failure): void {
    super.badReply(call, why);
    this.#words.push(`bad reply ${why.message}`);
  }

  override refused(...refused: Parameters<MessageReport['refused']>): void {
    super.refused(...refused);
    const [, { route }, { reason }] = refused;
    this.#words.push(`refused ${route} ${reason}`);
  }
}

type Choice = {
  readonly messagesPerSecond?: number;
  readonly inFlightPerBackend?: number;
  readonly traces?: (clock: ManualClock) => MessageTraces;
  /** Default: no rule joins. */
  readonly joins?: (log: string[]) => RelayParts['joins'];
};

const NO_JOINS: RelayParts['joins'] = { begin: () => failure('INTERNAL'), end: () => {} };

const LAG_LIMIT_MS = 200;

/** What the event loop's samples say, as a test has it. */
export class FakeLag implements LagWindow {
  samples: number[] = [];

  get count(): number {
    return this.samples.length;
  }

  get leastMs(): number {
    return Math.min(...this.samples);
  }

  percentileMs(percent: number): number {
    const sorted = this.samples.toSorted((a, b) => a - b);
    return sorted[Math.ceil((sorted.length * percent) / 100) - 1]!;
  }

  reset(): void {
    this.samples = [];
  }
}

export function setUp({ traces, joins, ...more }: Choice = {}) {
  const world = makeWorld();
  const backend = new ScriptedBackend();
  const log: string[] = [];
  const refusePatch = {
    now: false,
    /** What had begun to be done to the session is done first. */
    before: (_session: Session): void => {},
  };
  /** Who is asked before a patch is applied. */
  const ask: { now?: (isWanted: () => boolean) => Promise<object> } = {};
  const report = new RecordingReport(log, world.clock, traces?.(world.clock));
  const limits = { messagesPerSecond: 0, burst: 2, inFlightPerBackend: 1_000, inFlightBytes: 1e9, ...more }; // prettier-ignore
  const admission = new Admission(limits);
  const lag = new FakeLag();
  const shedding = new Shedding({ clock: world.clock, log: keptLog().log, lag }, LAG_LIMIT_MS);
  const relay = new Relay({
    maintenance: new Maintenance(),
    admission,
    shedding,
    wheel: world.wheel,
    random: seededRandom(),
    sessionCommands: {
      patch: (session, patch) => {
        log.push(`patch ${patch.uid}`);
        refusePatch.before(session);
        if (session.state === 'closed') return failure('CLOSING');
        if (refusePatch.now) return failure('CONFLICT');
        return { changed: 1, version: 1, confirmed: null };
      },
      patchAsked: (_session, _patch, isWanted) => ask.now?.(isWanted) ?? null,
      close: (session) => {
        log.push('close');
        session.close('kick');
      },
    },
    joins: joins?.(log) ?? NO_JOINS,
    fleetCommands: {
      push: (push, from) => {
        log.push(`push ${push.route}`);
        from.push(Buffer.from(push.body), null);
        return null;
      },
    },
    report,
  });
  relay.addBackend({ name: 'one', upstream: backend, breaker: null });
  relay.table = new RouteTable(RULES, ['one']);
  let n = 0;
  const client = (sessionLimits: Partial<SessionLimits> = {}) => {
    return activate({
      world,
      n: ++n,
      relay,
      limits: { inFlightMax: 100, ...sessionLimits },
    });
  };
  return { ...world, backend, relay, lag, shedding, admission, log, refusePatch, ask, client };
}
