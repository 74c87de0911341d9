/** The other workers of the process, for what operators ask of one of them. */
import { type Clock, within } from '../clock.ts';
import type { OneProfiler } from '../control/gateway-methods.ts';
import { errorText, type Failure, failure, GatewayError, isFailure } from '../errors.ts';
import type { OwnWorker } from './own-worker.ts';
import type { Called, CallAsk, PauseAsk } from './words.ts';

/** How long a call may take without a timeout of its own, in milliseconds: that of its route is not known here. */
const CALL_MS = 300_000;
const LONGER_MS = 2_000;
/** How long a worker may take to begin a profile, or to write it down. */
const PROFILE_MS = 30_000;
/** A profile that nobody ends, as the worker that asked has gone, ends by itself. */
const PROFILE_MS_MAX = 90_000;

type CallRequest = Omit<CallAsk, 'sid' | 'body'> & { readonly body: Buffer };
/** null: no such session. */
type Answer = Promise<Uint8Array | Failure> | null;

export type SiblingsParts = {
  readonly worker: OwnWorker;
  /** This worker's. */
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly profiler: OneProfiler;
  readonly call: (sid: string, request: CallRequest) => Answer;
  readonly pause: (pause: PauseAsk['pause']) => void;
};

export class Siblings {
  readonly #parts: SiblingsParts;
  /** That another worker has asked for. */
  #profile: { readonly end: () => void; readonly taken: Promise<string> } | null = null;

  constructor(parts: SiblingsParts) {
    const { worker, pause } = parts;
    this.#parts = parts;
    worker.answerOthers({
      pause,
      call: (ask) => this.#callHere(ask),
      beginProfile: ({ kind }) => {
        const { profiler, clock } = parts;
        if (profiler.isBusy) return { isBusy: true };
        const { promise, resolve: end } = Promise.withResolvers<void>();
        const taken = profiler.take(kind, () => within(clock, PROFILE_MS_MAX, promise, undefined));
        // Nobody may ask for it any more.
        taken.catch(() => {});
        this.#profile = { end, taken };
        return { isBusy: false };
      },
      endProfile: async () => {
        const profile = this.#profile;
        this.#profile = null;
        profile?.end();
        return (await profile?.taken) ?? '';
      },
    });
  }

  // ---- what this worker asks ----------------------------------------------------------------------------

  /** Relays a request on behalf of a session of another worker. */
  async call(sid: string, { body, ...request }: CallRequest): Promise<Uint8Array | Failure | null> {
    const { worker, gatewayId } = this.#parts;
    const gateway = sid.slice(0, Math.max(0, sid.lastIndexOf('.')));
    if (gateway === gatewayId) return null;
    const all = await worker.workers();
    if (!all.some((one) => one.gateway === gateway && one.state !== 'silent')) return null;
    const ask = { sid, ...request, body: body.toString('base64') };
    // Longer than the other worker waits, which knows best what to say.
    const waitMs = (request.timeoutMs || CALL_MS) + LONGER_MS;
    try {
      return read(await worker.askOther(gateway, 'call', ask, waitMs));
    } catch (error) {
      return failure('CLOSING', `the worker that holds the session: ${errorText(error)}`);
    }
  }

  /** Of another worker, by its number. */
  profilerOf(n: number): OneProfiler {
    const { worker } = this.#parts;
    return {
      isBusy: false,
      async take(kind, wait) {
        const { isBusy } = await worker.askOther(n, 'beginProfile', { kind }, PROFILE_MS);
        if (isBusy)
          throw new GatewayError('OVERLOADED', 'a profile is being taken already; try again');
        await wait();
        return worker.askOther(n, 'endProfile', null, PROFILE_MS);
      },
    };
  }

  // ---- what it answers ----------------------------------------------------------------------------------

  async #callHere({ sid, body, ...request }: CallAsk): Promise<Called> {
    const answer = await this.#parts.call(sid, { ...request, body: Buffer.from(body, 'base64') });
    if (answer === null) return {};
    return isFailure(answer)
      ? { failure: { ...answer, body: textOf(answer.body), bytes: textOf(answer.bytes) } }
      : { answer: textOf(answer)! };
  }
}

/** Base64. */
function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('base64');
}

function bytesOf(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text, 'base64');
}

function read({ answer, failure }: Called): Uint8Array | Failure | null {
  if (failure !== undefined)
    return { ...failure, body: bytesOf(failure.body), bytes: bytesOf(failure.bytes) };
  return answer === undefined ? null : bytesOf(answer);
}
