/** Streams answers to a client at the client's pace. */

import { type Clock, within } from '../clock.ts';
import { GatewayError } from '../errors.ts';

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

/** Events after which nobody reads any more. */
const LEAVE_EVENTS = ['close', 'cancelled', 'error'];

/** How long a client may take nothing of what it was sent. */
export const STALLED_MS = 30_000;

/**
 * Writes each answer once there is room for it; stops when the client has gone.
 *
 * @param answers `gone` is aborted when the client leaves, for those who would make it wait for the next.
 * @param write Writes one answer; returns false if the stream must drain before the next.
 * @throws {GatewayError} The client does not read.
 */
export async function sendAll<T>(
  answers: (gone: AbortSignal) => AsyncIterable<T>,
  sink: Sink,
  clock: Clock,
  write: (answer: T) => boolean,
): Promise<void> {
  const leaving = new AbortController();
  const leave = (): void => {
    leaving.abort();
  };
  for (const event of LEAVE_EVENTS) sink.once(event, leave);
  try {
    for await (const answer of answers(leaving.signal)) {
      if (hasGone(sink)) return;
      if (!write(answer) && !(await within(clock, STALLED_MS, drained(sink), false)))
        throw new GatewayError('OVERLOADED', 'the answers are not read');
      if (hasGone(sink)) return;
    }
  } finally {
    for (const event of LEAVE_EVENTS) sink.off(event, leave);
  }
}

function hasGone({ destroyed, cancelled }: Sink): boolean {
  return destroyed || cancelled === true;
}

function drained(sink: Sink): Promise<true> {
  return new Promise((resolve) => {
    if (hasGone(sink)) {
      resolve(true);
      return;
    }
    const wake = (): void => {
      for (const event of WAKE_EVENTS) sink.off(event, wake);
      resolve(true);
    };
    for (const event of WAKE_EVENTS) sink.once(event, wake);
  });
}
