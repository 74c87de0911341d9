/**
 * Which messages are traced, and what their spans say: a SERVER span for the message, and a CLIENT span for the
 * time that it is with a backend, whose own spans become children of that.
 *
 * Most messages are not traced, and cost one random number here. A trace that a client sends is never continued.
 */
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Attributes, Span, Tracing } from '../telemetry/tracing.ts';
import type { Call, CallTrace } from '../upstream/call.ts';

export type KeptTraces = {
  /** The share of messages that are traced, 0 to 1: `telemetry.sample`. */
  readonly sample: number;
  /** A message that fails is kept, whatever `sample` says: `telemetry.always.errors`. */
  readonly keepErrors: boolean;
  /** So is one that takes longer, in milliseconds: `telemetry.always.slower_than`; 0: this rule is off. */
  readonly keepSlowerThanMs: number;
  /** Kept for an error or for being slow, in a second: an outage must not become one of the collector as well. */
  readonly keptPerSecondMax: number;
};

export type MessageTracesOptions = KeptTraces & {
  readonly tracing: Tracing;
  readonly clock: Clock;
  readonly random: Random;
};

export class MessageTraces {
  readonly #tracing: Tracing;
  readonly #clock: Clock;
  readonly #random: Random;
  #sample!: Draw;
  #keepErrors = false;
  #keepSlowerThanMs = Infinity;
  #keptPerSecondMax = 0;
  #keptSince = 0;
  #kept = 0;

  constructor(options: MessageTracesOptions) {
    this.#tracing = options.tracing;
    this.#clock = options.clock;
    this.#random = options.random;
    this.keep(options);
  }

  /** Which are kept from now on. */
  keep({ sample, keepErrors, keepSlowerThanMs, keptPerSecondMax }: KeptTraces): void {
    this.#sample = new Draw(sample, this.#random);
    this.#keepErrors = keepErrors;
    this.#keepSlowerThanMs = keepSlowerThanMs || Infinity;
    this.#keptPerSecondMax = keptPerSecondMax;
  }

  begin(call: Call): void {
    if (this.#sample.next()) this.#begin(call, {});
  }

  #begin(call: Call, more: Attributes): void {
    const ahead = this.#wallAhead();
    const server = this.#server(call, ahead, more);
    if (server === null) return;
    call.trace = new MessageTrace(this.#tracing, call, server, () => ahead + this.#clock.now());
  }

  /** It has failed, and is about to end: it is traced now if it was not, so that the log can name its trace; '': it is not. */
  failed(call: Call): string {
    if (call.trace === null && this.#keepErrors && this.#mayKeep())
      this.#begin(call, { 'pith.kept_for': 'error' });
    return call.trace?.traceId ?? '';
  }

  /** Gives the trace's id; '' for a message without a trace. It took `ms`. */
  end(call: Call, outcome: string, ms: number): string {
    if (call.trace !== null) return (call.trace as MessageTrace).end(outcome);
    const reason = this.#reasonToKeep(outcome, ms);
    if (reason === '' || !this.#mayKeep()) return '';
    const ahead = this.#wallAhead();
    const server = this.#server(call, ahead, { 'pith.kept_for': reason });
    if (server === null) return '';
    finish(this.#tracing, server, outcome, ahead + call.startedAt + ms);
    return server.spanContext().traceId;
  }

  #server(call: Call, ahead: number, more: Attributes): Span | null {
    const { session, target } = call;
    const attributes: Attributes = {
      'network.protocol.name': 'pomelo',
      'network.transport': 'tcp',
      'session.id': session.sid,
      'pith.connection': session.connection.transport,
      'pith.backend': target.backend,
      'pith.route': call.route,
      'pith.seq': call.seq,
      'pith.notify': !call.wantsAnswer,
      ...more,
    };
    // Named by the rule and not by the route, of which there may be any number.
    return this.#tracing.begin({
      name: target.match,
      kind: 'server',
      at: ahead + call.startedAt,
      attributes,
      parent: null,
    });
  }

  #reasonToKeep(outcome: string, ms: number): '' | 'error' | 'slow' {
    if (this.#keepErrors && isError(outcome)) return 'error';
    return ms > this.#keepSlowerThanMs ? 'slow' : '';
  }

  #mayKeep(): boolean {
    const now = this.#clock.now();
    if (now - this.#keptSince >= 1_000) {
      this.#keptSince = now;
      this.#kept = 0;
    }
    return this.#kept++ < this.#keptPerSecondMax;
  }

  /** Wall time minus the monotonic clock. Read again for each trace, because wall time may be adjusted. */
  #wallAhead(): number {
    return this.#clock.wallNow() - this.#clock.now();
  }
}

/** Says yes to a share of the questions, by chance. Whole numbers only: no object is made for a fraction. */
class Draw {
  /** Never 0. [Marsaglia 2003, xorshift; from -2^31 to 2^31 - 1] */
  #state: number;
  readonly #below: number;

  constructor(share: number, random: Random) {
    this.#state = Math.floor(random.number() * 0x7fffffff) + 1;
    this.#below = Math.round(share * 2 ** 32 - 2 ** 31);
  }

  next(): boolean {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x < this.#below;
  }
}

const RPC_STATUS = 'rpc.status_code';

/** By outcome, where a message has no status of its own, as on a Link; of any other an answer came, and that is OK. */
const RPC_STATUSES: Readonly<Record<string, string>> = {
  BACKEND_AWAY: 'UNAVAILABLE',
  TIMEOUT: 'DEADLINE_EXCEEDED',
  client_gone: 'CANCELLED',
};

/** A message that is traced. The upstream reads `traceparent` when it sends, and a CLIENT span begins then. */
class MessageTrace implements CallTrace {
  readonly tracestate = '';
  readonly #tracing: Tracing;
  readonly #call: Call;
  readonly #server: Span;
  readonly #wallNow: () => number;
  #client: Span | null = null;
  #traceparent = '';
  #resent = 0;
  /** Its status follows from the outcome: the call itself has not told it. */
  #isGrpc = false;

  constructor(tracing: Tracing, call: Call, server: Span, wallNow: () => number) {
    this.#tracing = tracing;
    this.#call = call;
    this.#server = server;
    this.#wallNow = wallNow;
  }

  get traceId(): string {
    return this.#server.spanContext().traceId;
  }

  get traceparent(): string {
    if (this.#traceparent === '') {
      this.#client = this.#beginClient();
      const { traceId, spanId } = (this.#client ?? this.#server).spanContext();
      this.#traceparent = `00-${traceId}-${spanId}-01`;
    }
    return this.#traceparent;
  }

  #beginClient(): Span | null {
    const { name, attributes } = this.#call.upstream.clientSpan(this.#call);
    this.#isGrpc = attributes['rpc.system.name'] === 'grpc';
    const key = 'http.request.method' in attributes ? 'http.request.resend_count' : 'pith.resent';
    return this.#tracing.begin({
      name,
      kind: 'client',
      at: this.#wallNow(),
      attributes: this.#resent === 0 ? attributes : { ...attributes, [key]: this.#resent },
      parent: this.#server,
    });
  }

  tell(name: string, value: string | number): void {
    this.#client?.setAttribute(name, value);
    if (name === RPC_STATUS) this.#isGrpc = false;
  }

  failedOnce(reason: string): void {
    this.#resent++;
    this.#endClient(reason, this.#wallNow());
    this.#traceparent = '';
  }

  #endClient(outcome: string, at: number): void {
    if (this.#client === null) return;
    if (this.#isGrpc) this.#client.setAttribute(RPC_STATUS, RPC_STATUSES[outcome] ?? 'OK');
    finish(this.#tracing, this.#client, outcome, at);
    this.#client = null;
  }

  end(outcome: string): string {
    const at = this.#wallNow();
    this.#endClient(outcome, at);
    finish(this.#tracing, this.#server, outcome, at);
    return this.traceId;
  }
}

/** A client that goes away does nothing wrong, and neither does the gateway. */
function isError(outcome: string): boolean {
  return outcome !== 'ok' && outcome !== 'client_gone';
}

function finish(tracing: Tracing, span: Span, outcome: string, at: number): void {
  span.setAttribute('pith.outcome', outcome);
  tracing.end(span, at, isError(outcome) ? outcome : '');
}
