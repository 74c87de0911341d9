/**
 * The delivery of pushes whose publisher is traced: a CONSUMER span from when the push is here until it is in the outbox
 * of its last session. It is part of the publisher's trace where it is for one session, and linked to it where it is for
 * many. [opentelemetry.io/docs/specs/semconv: messaging spans]
 */
import type { Clock } from '../clock.ts';
import type { Span, Tracing } from './tracing.ts';

/** Deliveries that are traced in a second: a publisher that traces everything must not be able to flood the collector. */
export const TRACED_PUSHES_PER_SECOND_MAX = 100;

export type TracedPush = {
  /** As W3C writes it. */
  readonly traceparent: string;
  readonly route: string;
  /** Sessions that it is for. */
  readonly sessions: number;
};

/** What has become of it. */
export type DeliveredCount = {
  readonly delivered: number;
  readonly dropped: number;
  readonly refused: number;
};

export class PushTraces {
  readonly #tracing: Tracing;
  readonly #clock: Clock;
  #since = 0;
  #count = 0;

  constructor(tracing: Tracing, clock: Clock) {
    this.#tracing = tracing;
    this.#clock = clock;
  }

  /** null: its publisher's trace is not recorded, or enough are. */
  begin({ traceparent, route, sessions }: TracedPush): Span | null {
    // [w3.org/TR/trace-context: the flag `sampled`]
    if ((Number.parseInt(traceparent.slice(-2), 16) & 1) === 0 || !this.#mayTrace()) return null;
    return this.#tracing.begin({
      name: 'deliver push',
      kind: 'consumer',
      at: this.#clock.wallNow(),
      attributes: {
        'messaging.system.name': 'pith',
        'messaging.operation.name': 'deliver',
        'messaging.operation.type': 'process',
        'pith.route': route,
        'pith.sessions': sessions,
      },
      parent: null,
      remote: { traceparent, isParent: sessions === 1 },
    });
  }

  end(span: Span, { delivered, dropped, refused }: DeliveredCount): void {
    span.setAttributes({
      'pith.delivered': delivered,
      'pith.dropped': dropped,
      'pith.refused': refused,
    });
    this.#tracing.end(span, this.#clock.wallNow(), refused > 0 ? 'refused' : '');
  }

  #mayTrace(): boolean {
    const now = this.#clock.now();
    if (now - this.#since >= 1_000) {
      this.#since = now;
      this.#count = 0;
    }
    return this.#count++ < TRACED_PUSHES_PER_SECOND_MAX;
  }
}
