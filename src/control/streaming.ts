/** A stream of answers to somebody who takes them at their own pace. */

/** What is written to: a gRPC call, or an HTTP response. */
export type Taker = {
  readonly destroyed: boolean;
  /** A gRPC call that its caller has given up. */
  readonly cancelled?: boolean;
  once(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
};

/** Room is there again, or never will be. */
const GO_ON = ['drain', 'close', 'cancelled', 'error'];

/**
 * Writes each answer when the one before it was taken; stops when the taker has gone.
 *
 * @param write Writes one; false: the taker wants no more until it has drained.
 */
export async function sendAll<T>(
  answers: () => AsyncIterable<T>,
  taker: Taker,
  write: (answer: T) => boolean,
): Promise<void> {
  for await (const answer of answers()) {
    if (hasGone(taker)) return;
    if (!write(answer)) await roomIn(taker);
    if (hasGone(taker)) return;
  }
}

function hasGone({ destroyed, cancelled }: Taker): boolean {
  return destroyed || cancelled === true;
}

function roomIn(taker: Taker): Promise<void> {
  return new Promise((resolve) => {
    if (hasGone(taker)) {
      resolve();
      return;
    }
    const goOn = (): void => {
      for (const event of GO_ON) taker.off(event, goOn);
      resolve();
    };
    for (const event of GO_ON) taker.once(event, goOn);
  });
}
