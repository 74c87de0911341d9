/** Answers that no packet holds. They are refused alone: whatever else came with them, or comes after, is not harmed. */
import { type Failure, failure } from '../errors.ts';
import { PACKET_BODY_BYTES_MAX } from '../protocol/packet.ts';
import type { Reply } from '../contract/commands.ts';

const TOLD = "the backend's answer does not fit into a packet";

/** What the client gets instead. */
export const answerTooLong = (): Failure => failure('BAD_REPLY', TOLD);

/** For the log: why this answer is refused; '' if its length is fine. */
export function tooLong(reply: Uint8Array | Reply, route: string): string {
  const bytes = (reply instanceof Uint8Array ? reply : reply.body)?.length ?? 0;
  return bytes > PACKET_BODY_BYTES_MAX
    ? `the answer to ${route} has ${bytes} bytes; a packet holds ${PACKET_BODY_BYTES_MAX}`
    : '';
}
