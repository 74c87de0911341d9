/** What a client has received: its value, and whether that is an error. */
import type { Received } from '../client/client.ts';

/** True for an answer that is marked as an error, or has a `code` of 400 or more in its body. */
export function isErrorAnswer(answer: Received): boolean {
  const value = valueOf(answer) as { code?: unknown } | null | undefined;
  return answer.isError || (typeof value?.code === 'number' && value.code >= 400);
}

/** The decoded body; undefined: it cannot be decoded. */
export function valueOf(received: Received): unknown {
  try {
    return received.body;
  } catch {
    return undefined;
  }
}
