/** PushMany: pushes as they come, in their order, and one total at the end. */
import { FLEET_WAIT_MS, type FleetCommands } from '../bus/fleet-commands.ts';
import type { PushOutcome } from '../bus/bus.ts';
import { GatewayError } from '../errors.ts';
import type { Request } from './requests.ts';
import { nthRequest, orThrow } from './method.ts';

/** The longest time that a push may wait for other gateways' counts. */
export const PUSH_WAIT_MS_MAX = 10_000;
/** Pushes of one call that wait for the counts of other gateways; the next is not read before one of them has its own. */
export const PUSHES_WAITING_MAX = 64;
/** Names in each list of the total, as in the answer to one push. */
const NAMED_MAX = 1_000;

/**
 * Sends each push in its turn. Throws at the first that is wrong, and says which it is; those before it were sent.
 *
 * @param requests It may throw too, and is not read to its end then.
 */
export async function pushMany(
  fleet: FleetCommands,
  requests: AsyncIterable<Request>,
): Promise<PushOutcome> {
  const total = new Total();
  const waiting = new Set<Promise<void>>();
  let n = 0;
  for await (const { push, waitMs = FLEET_WAIT_MS } of requests) {
    n++;
    if (push === undefined) total.fail(new GatewayError('BAD_ARGUMENT', 'push is missing'), n);
    else {
      const sent = fleet.pushCounted(push, Math.min(waitMs, PUSH_WAIT_MS_MAX));
      const nth = n;
      const counted: Promise<void> = sent
        .then((outcome) => {
          total.add(orThrow(outcome));
        })
        .catch((error: unknown) => {
          total.fail(GatewayError.from(error), nth);
        })
        .then(() => {
          waiting.delete(counted);
        });
      waiting.add(counted);
    }
    if (waiting.size >= PUSHES_WAITING_MAX) await Promise.race(waiting);
    if (total.failure !== null) break;
  }
  await Promise.all(waiting);
  return total.result();
}

class Total {
  /** Of the first push that failed. */
  failure: GatewayError | null = null;
  #failedAt = Infinity;
  readonly #sum = { delivered: 0, dropped: 0, refused: 0, gateways: 0, kept: 0 };
  readonly #unknownUids = new Set<string>();
  readonly #unknownSids = new Set<string>();
  readonly #silentGateways = new Set<string>();

  add(outcome: PushOutcome): void {
    for (const name of ['delivered', 'dropped', 'refused', 'kept'] as const)
      this.#sum[name] += outcome[name];
    this.#sum.gateways = Math.max(this.#sum.gateways, outcome.gateways);
    addNames(this.#unknownUids, outcome.unknownUids);
    addNames(this.#unknownSids, outcome.unknownSids);
    addNames(this.#silentGateways, outcome.silentGateways);
  }

  fail(error: GatewayError, n: number): void {
    if (n > this.#failedAt) return;
    this.#failedAt = n;
    this.failure = nthRequest(error, n);
  }

  /** @throws {GatewayError} A push was wrong. */
  result(): PushOutcome {
    if (this.failure !== null) throw this.failure;
    return {
      ...this.#sum,
      unknownUids: [...this.#unknownUids],
      unknownSids: [...this.#unknownSids],
      silentGateways: [...this.#silentGateways],
    };
  }
}

function addNames(all: Set<string>, names: readonly string[]): void {
  for (const name of names) {
    if (all.size === NAMED_MAX) return;
    all.add(name);
  }
}
