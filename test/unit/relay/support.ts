/** A relay with backends that answer when the test says so, and clients on byte pipes. */
import { type Failure, failure } from '../../../src/errors.ts';
import { Admission } from '../../../src/relay/admission.ts';
import { Relay, type RelayHost } from '../../../src/relay/relay.ts';
import { RouteTable } from '../../../src/routing/route-table.ts';
import type { Rule } from '../../../src/routing/rule.ts';
import type { Session } from '../../../src/session/session.ts';
import type { SessionLimits } from '../../../src/session/session-parts.ts';
import type { Call, PendingCall } from '../../../src/upstream/call.ts';
import type { ConnectAsk, Upstream } from '../../../src/upstream/upstream.ts';
import { activate, makeWorld, RecordingHost } from '../session/support.ts';
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
    return this.calls.splice(at, 1)[0]!;
  }

  cancel(call: Call): void {
    this.cancelled.push(call.rawId);
    const at = this.calls.indexOf(call);
    if (at >= 0) this.calls.splice(at, 1);
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
  otherwise: 'error',
  forward: [],
  bound: false,
  codec: 'auto',
  method: '',
  path: '',
  pushRoute: '',
  idempotent: false,
  split: null,
  rename: '',
} as const;
const RULES: readonly Rule[] = [
  { ...STANDARD, match: 'keep.*', backend: 'one', order: 'keep' },
  { ...STANDARD, match: 'serial.*', backend: 'one', order: 'serial' },
  { ...STANDARD, match: 'none.*', backend: 'one', order: 'none', to: '{uid}' },
  { ...STANDARD, match: 'again.*', backend: 'one', order: 'none', idempotent: true },
  { ...STANDARD, match: 'bound.*', backend: 'one', order: 'keep', bound: true },
];

export function setUp(more: { messagesPerSecond?: number; inFlightPerBackend?: number } = {}) {
  const world = makeWorld();
  const backend = new ScriptedBackend();
  const log: string[] = [];
  const refusePatch = { now: false };
  const host: RelayHost = {
    patch(_session, patch) {
      log.push(`patch ${patch.uid}`);
      return refusePatch.now ? failure('CONFLICT') : null;
    },
    push(push, from) {
      log.push(`push ${push.route}`);
      from.push(Buffer.from(push.body), null);
    },
    close(session) {
      log.push('close');
      session.close('kick');
    },
    onBegin: () => {},
    onBadReply: (_call, why) => log.push(`bad reply ${why.message}`),
    onBadSignature: () => log.push('bad signature'),
    onDone: (_call, outcome) => log.push(`done ${outcome}`),
    onRefused: (_session, route, _wantsAnswer, why) => log.push(`refused ${route} ${why.reason}`),
  };
  const limits = { messagesPerSecond: 0, burst: 2, inFlightPerBackend: 1_000, ...more };
  const admission = new Admission(limits, 1);
  const relay = new Relay({
    table: new RouteTable(RULES, ['one']),
    upstreams: [backend],
    admission,
    breakers: [null],
    wheel: world.wheel,
    routeBytesMax: 127,
    host,
  });
  let n = 0;
  const client = (sessionLimits: Partial<SessionLimits> = {}) => {
    const recording = new RecordingHost();
    recording.onMessageDo = (session: Session, message) => {
      relay.onMessage(session, message);
    };
    return activate({
      world,
      n: ++n,
      host: recording,
      limits: { inFlightMax: 100, ...sessionLimits },
    });
  };
  return { ...world, backend, relay, admission, log, refusePatch, client };
}
