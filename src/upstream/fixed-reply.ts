/** A backend that is a fixed answer in the configuration: a Pomelo client's first call is usually to a gate. */
import { type Failure, failure } from '../errors.ts';
import { clientJsonBytes } from '../protocol/packet.ts';
import type { Call } from './call.ts';
import type { ClientSpan } from './client-span.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from './upstream.ts';

export class FixedReply implements Upstream {
  readonly oneAtATime = false;
  readonly #body: Buffer;

  constructor(reply: unknown) {
    this.#body = clientJsonBytes(reply);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    call.succeed(this.#body);
  }

  connect(_ask: ConnectAsk): Promise<Failure> {
    return Promise.resolve(failure('UNSUPPORTED', 'a fixed reply cannot decide who may connect'));
  }

  /** Never asked for: nothing is sent. */
  clientSpan(): ClientSpan {
    return { name: 'reply', attributes: {} };
  }

  info(): UpstreamInfo {
    return { kind: 'reply', addresses: 1, healthy: 1 };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
