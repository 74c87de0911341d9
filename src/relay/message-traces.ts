/**
 * Which messages are traced, and what their spans say: a SERVER span for the message, and a CLIENT span for the
 * time that it is with a backend, whose own spans become children of that.
 *
 * Most messages are not traced, and cost one random number here. A trace that a client sends is never gone on with.
 */
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { BackendConfig } from '../config/schema-backends.ts';
import type { Attributes, Span, Tracing } from '../telemetry/tracing.ts';
import type { Call } from '../upstream/call.ts';
import type { Trace } from '../contract/facts.ts';

/** An outage must not become one of the collector as well: kept for an error or for being slow, per second. */
const KEPT_PER_SECOND_MAX = 100;

export type TracesParts = {
  readonly config: Config;
  readonly tracing: Tracing;
  readonly clock: Clock;
};

/** What the CLIENT span of a message is called, and says. */
type ClientSpan = { readonly name: string; readonly attributes: Attributes };
/** One per backend. */
type Endpoint = (call: Call) => ClientSpan;
type MessageFacts = { way(): ClientSpan; wallNow(): number };

export class Traces {
  readonly #tracing: Tracing;
  readonly #clock: Clock;
  readonly #sample: Draw;
  readonly #keepErrors: boolean;
  /** Milliseconds; infinite: slowness is no reason. */
  readonly #keepSlowerThan: number;
  /** By the backend's ordinal. */
  readonly #ways: readonly Endpoint[];
  #keptSince = 0;
  #kept = 0;

  constructor({ config, tracing, clock }: TracesParts) {
    this.#tracing = tracing;
    this.#clock = clock;
    const { sample, always } = config.telemetry;
    this.#sample = new Draw(sample);
    this.#keepErrors = always.errors;
    this.#keepSlowerThan = always.slower_than || Infinity;
    this.#ways = Object.values(config.backends).map((one) => wayTo(one, config.nats.prefix));
  }

  begin(call: Call): void {
    if (!this.#sample.next()) return;
    const ahead = this.#wallAhead();
    const server = this.#server(call, ahead, {});
    if (server === null) return;
    const way = this.#ways[call.target.backendOrdinal]!;
    call.trace = new MessageTrace(this.#tracing, server, {
      way: () => way(call),
      wallNow: () => ahead + this.#clock.now(),
    });
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
    return ms > this.#keepSlowerThan ? 'slow' : '';
  }

  #mayKeep(): boolean {
    const now = this.#clock.now();
    if (now - this.#keptSince >= 1_000) {
      this.#keptSince = now;
      this.#kept = 0;
    }
    return this.#kept++ < KEPT_PER_SECOND_MAX;
  }

  /** What wall time has ahead of the monotonic clock. Read anew for each trace: wall time is set now and then. */
  #wallAhead(): number {
    return this.#clock.wallNow() - this.#clock.now();
  }
}

/** Says yes to a share of the questions, by chance. Whole numbers only: no object is made for a fraction. */
class Draw {
  /** Never 0. [Marsaglia 2003, xorshift; from -2^31 to 2^31 - 1] */
  #state = Math.floor(Math.random() * 0x7fffffff) + 1;
  readonly #below: number;

  constructor(share: number) {
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

/** A message that is traced. The upstream reads `traceparent` when it sends, and the CLIENT span begins then. */
class MessageTrace implements Trace {
  readonly tracestate = '';
  readonly #tracing: Tracing;
  readonly #server: Span;
  readonly #facts: MessageFacts;
  #client: Span | null = null;
  #traceparent = '';

  constructor(tracing: Tracing, server: Span, facts: MessageFacts) {
    this.#tracing = tracing;
    this.#server = server;
    this.#facts = facts;
  }

  get traceparent(): string {
    if (this.#traceparent === '') {
      this.#client = this.#tracing.begin({
        ...this.#facts.way(),
        kind: 'client',
        at: this.#facts.wallNow(),
        parent: this.#server,
      });
      const { traceId, spanId } = (this.#client ?? this.#server).spanContext();
      this.#traceparent = `00-${traceId}-${spanId}-01`;
    }
    return this.#traceparent;
  }

  end(outcome: string): string {
    const at = this.#facts.wallNow();
    if (this.#client !== null) finish(this.#tracing, this.#client, outcome, at);
    finish(this.#tracing, this.#server, outcome, at);
    return this.#server.spanContext().traceId;
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

/** A fixed reply never asks. [OpenTelemetry semantic conventions: RPC, messaging; there is no page for NATS.] */
function wayTo(backend: BackendConfig, natsPrefix: string): Endpoint {
  if (backend.kind === 'nats') {
    const prefix = backend.nats.prefix ?? natsPrefix;
    return (call) => {
      const template =
        call.instance === '' ? `${prefix}.rpc.{route}` : `${prefix}.to.{instance}.{route}`;
      const operation = call.wantsAnswer ? 'request' : 'publish';
      return {
        name: `${operation} ${template}`,
        attributes: {
          'messaging.system': 'nats',
          'messaging.operation.name': operation,
          'messaging.operation.type': 'send',
          'messaging.destination.template': template,
        },
      };
    };
  }
  return (call) => {
    // A request on a Link waits in the link's table, a notify nowhere; what else there is, is a call of Handle.
    const isLink = call.pending === null || call.pendingId !== 0;
    const method = `pith.v1.Backend/${isLink ? 'Link' : 'Handle'}`;
    return { name: method, attributes: { 'rpc.system.name': 'grpc', 'rpc.method': method } };
  };
}
