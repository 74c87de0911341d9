/** A push that a stream has kept, as JetStream sends it on or gives it out. */
import type { Push } from '../contract/commands.ts';
import { readPush } from '../contract/headers.ts';
import { ShapeError } from '../contract/json.ts';
import { type Failure, failure } from '../errors.ts';
import { cursorRefusal } from './push-cursors.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import { readHeaders, streamLines } from '../upstream/nats/header-block.ts';

export type KeptPush = {
  /** Its number in the stream. */
  readonly seq: number;
  /** The number of the one before it to the same user; 0: there is none, or it is not said. */
  readonly previous: number;
  /** Messages to the same user that follow in this answer and later ones; -1: it is not said. */
  readonly pending: number;
  /** When it was stored, in milliseconds since the epoch; 0: it is not said. */
  readonly storedAtWall: number;
  /** Or why it is none. */
  readonly push: Push | Failure;
};

/** Its bytes are its own. null: it does not come from a stream. */
export function readKept(message: NatsMessage): KeptPush | null {
  const lines = streamLines(message);
  const seq = numberOf(lines.get('Nats-Sequence'));
  if (seq < 1) return null;
  return {
    seq,
    previous: Math.max(0, numberOf(lines.get('Nats-Last-Sequence'))),
    pending: numberOf(lines.get('Nats-Num-Pending')),
    storedAtWall: Date.parse(lines.get('Nats-Time-Stamp') ?? '') || 0,
    push: pushOf(message),
  };
}

function pushOf(message: NatsMessage): Push | Failure {
  try {
    const push = readPush(readHeaders(message), Buffer.from(message.data));
    return cursorRefusal(push, {}) ?? push;
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return failure('BAD_ARGUMENT', error.message);
  }
}

/** -1: it is not one. */
function numberOf(text: string | undefined): number {
  const number = text !== undefined && /^[0-9]{1,16}$/.test(text) ? Number(text) : -1;
  return Number.isSafeInteger(number) ? number : -1;
}
