/** Where an upstream reports what happens at its backend: to the log, and to the metrics. One for each backend. */
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { BackendTroubles } from '../failures/backend-troubles.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Target } from '../routing/rule.ts';
import { refOf } from '../ref.ts';
import type { Call } from './call.ts';
import { Waits, type WaitsFor } from './waits.ts';

/** Conditions of an address that somebody should look at. */
const TROUBLE: ReadonlySet<string> = new Set([
  'away',
  'ejected',
  'unhealthy',
  'unresolved',
  'failed',
]);

/** Of a reason, which may be in a backend's words. */
const WHY_CHARS_MAX = 500;

/** What a backend sent that was not used, by the label of the counter: what the log says of it. */
const DROPPED = {
  push: 'push refused',
  change: 'session change refused',
  line: 'backend line',
  frame: 'backend frame',
  untold: 'could not report ended sessions',
} as const;

/** Fields of a log line. */
type Fields = Readonly<Record<string, unknown>>;

export type BackendReportParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Remembers what was wrong last; absent: nobody asks. */
  readonly troubles?: BackendTroubles;
};

/** Kinds are few: of the lines of each a few are logged, and the others counted. */
export class BackendReport {
  readonly backend: string;
  readonly #kind: string;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #troubles: BackendTroubles | undefined;
  /** Addresses come and go; they must not use up the kinds of the rest. */
  readonly #states: LogThrottle;
  readonly #throttle: LogThrottle;

  /** @param kind The label of its late replies: how the backend is reached. */
  constructor(backend: string, kind: string, parts: BackendReportParts) {
    const { clock, log, metrics, troubles } = parts;
    this.#clock = clock;
    this.#troubles = troubles;
    this.backend = backend;
    this.#kind = kind;
    this.#log = log;
    this.#metrics = metrics;
    this.#states = new LogThrottle(clock);
    this.#throttle = new LogThrottle(clock);
  }

  /** An address has changed; of one that comes and goes all the time some changes are logged. */
  state(address: string, state: string, why: string): void {
    if (TROUBLE.has(state))
      this.#troubles?.had(this.backend, `${address} is ${state}: ${why}`, this.#clock.now());
    const left = this.#states.allow(`${address} ${state}`);
    if (left === null) return;
    const fields = { backend: this.backend, address, state, why: why.slice(0, WHY_CHARS_MAX) };
    this.#log[TROUBLE.has(state) ? 'warn' : 'info']({ ...fields, ...left }, 'backend');
  }

  /** Where calls that wait are counted. */
  waits(what: WaitsFor): Waits {
    return new Waits(this.#metrics, what);
  }

  /** An answer came that no call waits for any more. */
  lateReply(): void {
    this.#metrics.add('pith_late_replies_total', [this.#kind]);
  }

  /** `call` fails in a way that an operator should look at. Comes before its end, which says no more then. */
  trouble(call: Call, kind: string, what: Fields, why: string): void {
    call.reported = true;
    call.why = why;
    this.#troubles?.had(this.backend, why, this.#clock.now());
    const left = this.#throttle.allow(`call ${kind}`);
    if (left === null) return;
    const { seq, session, target, wantsAnswer } = call;
    const { sid, uid } = session;
    this.#log.warn(
      {
        ...{ backend: this.backend, ref: refOf(sid, seq), sid },
        ...(uid && { uid }),
        // A handshake has no rule.
        ...((target as Target | undefined) && { rule: target.match }),
        ...(!wantsAnswer && { notify: true }),
        ...{ ...what, why, ...left },
      },
      'call failed',
    );
  }

  /** Something that the backend sent was not used. */
  dropped(what: keyof typeof DROPPED, why: string, kind = '', more: Fields = {}): void {
    this.#metrics.add('pith_backend_messages_dropped_total', [this.backend, what]);
    const left = this.#throttle.allow(`${what} ${kind}`);
    if (left === null) return;
    this.#log.warn({ backend: this.backend, ...more, why, ...left }, DROPPED[what]);
  }

  /** Something rare, so each is logged: as an error, or for information. */
  error(text: string, fields: Fields): void {
    this.#log.error({ backend: this.backend, ...fields }, text);
  }

  info(text: string, fields: Fields): void {
    this.#log.info({ backend: this.backend, ...fields }, text);
  }

  /** The backend could not be notified of a session's end. `pausedMs`: how long it will not be notified of others either. */
  unreported(why: string, pausedMs = 0): void {
    const paused = pausedMs > 0 ? { notAgainForMs: pausedMs } : {};
    this.dropped('untold', why, String(pausedMs), paused);
  }
}
