/** A request that an operator sends on behalf of a session: relayed as the client's own, and answered to the operator. */
import { NOTHING } from '../bytes.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import { Message } from '../protocol/message.ts';
import { renamedOr } from '../routing/route-table.ts';
import type { Session } from '../session/session.ts';
import type { Relay } from './relay.ts';
import { RelayCall } from './relay-call.ts';

export type OperatorRequest = {
  readonly route: string;
  /** As the backend gets it. */
  readonly body: Buffer;
  /** False for a notify. */
  readonly wantsAnswer: boolean;
  /** Milliseconds; 0: what the route has. */
  readonly timeoutMs: number;
};

/** No client's message has it. */
const RAW_ID = -1;

const ENDED = failure('CLOSING', 'the session ended before the backend answered');

/**
 * The backend's answer as it sent it, empty for a notify; or why there is none. Changes and pushes of the backend take
 * effect as if the client had asked. Never rejects.
 */
export async function callFor(
  relay: Relay,
  session: Session,
  request: OperatorRequest,
): Promise<Uint8Array | Failure> {
  const { breakers, parts } = relay;
  const { admission, report, wheel } = parts;
  if (session.state !== 'active' && session.state !== 'draining')
    return failure('CLOSING', 'the session has not finished its handshake, or is closing');
  const now = wheel.now();
  const target = relay.target(session, request.route, now);
  if (isFailure(target)) return target;
  const route = target.rename === '' ? request.route : renamedOr(target.rename, request.route);
  if (typeof route !== 'string') return route;
  const open = breakers[target.backendOrdinal]?.refusal(now) ?? null;
  if (open !== null) return open;
  if (!admission.enter(target.backendOrdinal)) return admission.overload('in_flight_per_backend');
  if (!admission.hold(request.body.length)) {
    admission.leave(target.backendOrdinal, 0);
    return admission.overload('in_flight_bytes');
  }
  const call = new OperatorCall(relay);
  const { wantsAnswer } = request;
  const message = Object.assign(new Message(), {
    route: request.route,
    rawId: RAW_ID,
    wantsAnswer,
  });
  call.fill(session, message, target, now);
  if (request.timeoutMs > 0) call.deadline = now + request.timeoutMs;
  call.body = request.body;
  call.heldBytes = request.body.length;
  call.route = route;
  report.traces?.begin(call);
  session.track(call);
  wheel.setAt(call, call.deadline);
  call.lane.enter(call);
  return call.ended;
}

class OperatorCall extends RelayCall {
  override readonly answersClient = false;
  readonly ended: Promise<Uint8Array | Failure>;
  #answer: Uint8Array | Failure | null = null;

  constructor({ parts, retries, upstreams, breakers }: Relay) {
    const { promise, resolve } = Promise.withResolvers<void>();
    super({
      parts,
      retries,
      upstreams,
      breakers,
      free: () => {
        resolve();
      },
    });
    this.ended = promise.then(() => this.#answer ?? (this.wantsAnswer ? ENDED : NOTHING));
  }

  /** The bytes are views of what came from the backend, and are gone before anyone reads them. */
  protected override sendAnswer(body: Uint8Array): null {
    this.#answer = Buffer.from(body);
    return null;
  }

  protected override sendFailure(why: Failure): void {
    this.#answer = { ...why, body: why.body && Buffer.from(why.body), bytes: null };
  }
}
