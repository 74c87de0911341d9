/** Streams answers to a client at the client's pace. */

/** The stream to write to: a gRPC call or an HTTP response. */
export type Sink = {
  readonly destroyed: boolean;
  /** True for a gRPC call that its caller has cancelled. */
  readonly cancelled?: boolean;
  once(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
};

/** Events after which there is room again, or never will be. */
const WAKE_EVENTS = ['drain', 'close', 'cancelled', 'error'];

/**
 * Writes each answer once there is room for it; stops when the client has gone.
 *
 * @param write Writes one answer; returns false if the stream must drain before the next.
 */
export async function sendAll<T>(
  answers: () => AsyncIterable<T>,
  sink: Sink,
  write: (answer: T) => boolean,
): Promise<void> {
  for await (const answer of answers()) {
    if (hasGone(sink)) return;
    if (!write(answer)) await drained(sink);
    if (hasGone(sink)) return;
  }
}

function hasGone({ destroyed, cancelled }: Sink): boolean {
  return destroyed || cancelled === true;
}

function drained(sink: Sink): Promise<void> {
  return new Promise((resolve) => {
    if (hasGone(sink)) {
      resolve();
      return;
    }
    const wake = (): void => {
      for (const event of WAKE_EVENTS) sink.off(event, wake);
      resolve();
    };
    for (const event of WAKE_EVENTS) sink.once(event, wake);
  });
}
