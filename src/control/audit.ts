/**
 * The audit log: one line for every call of Control that changes something, however it came: who, what, how many
 * sessions, and what came of it. Bodies and values are not in it. It is written whatever `log.level` is.
 *
 * Pushes come by the thousand, and over NATS backends change sessions as part of their work: of those there are a few
 * lines for each caller and method, and the next one says how many were left out. All calls are counted.
 */
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Caller } from './access.ts';
import type { Request } from './requests.ts';
import { type MethodRule, ruleOf } from './roles.ts';

/** Names of one list that a line has. */
const NAMES_MAX = 10;
/** Characters of a text that a line has. */
const TEXT_CHARS_MAX = 200;

export type AuditParts = { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics };

export class Audit {
  readonly #log: Pick<Log, 'info'>;
  readonly #metrics: Metrics;
  readonly #throttle: LogThrottle;
  readonly #clock: Clock;

  constructor({ clock, log, metrics }: AuditParts) {
    this.#clock = clock;
    // With a level of its own: whoever may change the level could otherwise go on unseen.
    this.#log = log.child({ audit: true }, { level: 'info' });
    this.#metrics = metrics;
    this.#throttle = new LogThrottle(clock);
  }

  begin(method: string, caller: Caller): AuditedCall {
    return new AuditedCall(this, method, caller, this.#clock.now());
  }

  /** A stream that went on after its line is over. */
  writeEnd({ method, caller, startedAt, shown }: AuditedCall): void {
    if (ruleOf(method).audited === 'none') return;
    const lastedMs = Math.round(this.#clock.now() - startedAt);
    const events = shown === undefined ? {} : { events: shown };
    this.#log.info({ method, ...whoIs(caller), lastedMs, ...events }, 'control call ended');
  }

  /** @param outcome `OK`, or the reason of the error. */
  write(call: AuditedCall, outcome: string): void {
    const { method, caller, request, touched } = call;
    const { via, name } = caller;
    this.#metrics.add('pith_control_calls_total', [via, method, outcome]);
    const { audited } = ruleOf(method);
    if (audited === 'none') return;
    const left = isThrottled(audited, via) ? this.#throttle.allow(`${method} ${via} ${name}`) : {};
    if (left === null) return;
    const who = whoIs(caller);
    const sessions = touched === undefined ? {} : { sessions: touched };
    this.#log.info(
      { method, ...who, request: shownOf(request), ...sessions, outcome, ...left },
      'control call',
    );
  }
}

/** Who calls, in a line. */
function whoIs({ via, name, address }: Caller): object {
  return { via, ...(name !== '' && { by: name }), ...(address !== '' && { address }) };
}

/** One call, and what is known of it so far. */
export class AuditedCall {
  readonly method: string;
  readonly caller: Caller;
  /** Empty until it has been read. */
  request: Request = {};
  /** Sessions that it has changed, closed or pushed to; undefined: it is not about sessions. */
  touched: number | undefined;
  /** Events that a stream has given; undefined: it gives none. */
  shown: number | undefined;
  readonly startedAt: number;
  readonly #audit: Audit;
  #isOver = false;
  #outcome = '';

  constructor(audit: Audit, method: string, caller: Caller, startedAt: number) {
    this.startedAt = startedAt;
    this.#audit = audit;
    this.method = method;
    this.caller = caller;
  }

  /** The first time counts: a stream is written when it has begun. */
  end(outcome: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outcome = outcome;
    this.#audit.write(this, outcome);
  }

  /** Its stream is over. Nothing is written of one that never began. */
  over(): void {
    if (this.#outcome === 'OK') this.#audit.writeEnd(this);
  }
}

function isThrottled(audited: MethodRule['audited'], via: Caller['via']): boolean {
  return audited === 'counted' || (audited === 'routine' && via === 'nats');
}

/** What a request is about: names and numbers, of objects their keys; no body. */
function shownOf(request: Request): object {
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(request)) {
    if (key === 'body') continue;
    if (key === 'push') {
      const { target, route } = request.push!;
      Object.assign(shown, {
        route: shownText(route),
        ...(target && { target: shownTarget(target) }),
      });
    } else if (key === 'target') shown[key] = shownTarget(value as object);
    else if (key === 'close') shown['reason'] = shownText(request.close!.reason);
    else shown[key] = shownValue(value);
  }
  return shown;
}

function shownTarget(target: object): object {
  return Object.fromEntries(
    Object.entries(target)
      .filter(([, value]) => !isEmpty(value))
      .map(([key, value]) => [key, shownValue(value)]),
  );
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === false || (Array.isArray(value) && value.length === 0);
}

function shownValue(value: unknown): unknown {
  if (typeof value === 'string') return shownText(value);
  if (Array.isArray(value)) return shownNames(value.map(String));
  if (typeof value === 'object' && value !== null) return shownNames(Object.keys(value));
  return value;
}

function shownNames(names: readonly string[]): readonly string[] {
  const first = names.slice(0, NAMES_MAX).map(shownText);
  return names.length > NAMES_MAX ? [...first, `and ${names.length - NAMES_MAX} more`] : first;
}

function shownText(text: string): string {
  return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text;
}
