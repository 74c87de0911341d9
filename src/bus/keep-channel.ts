/** Pushes that are to be kept, for those who cannot publish them: given to the stream, which sends them on. */
import { asBuffer } from '../bytes.ts';
import { readObject } from '../contract/json-shapes.ts';
import { pushLines } from '../contract/headers.ts';
import { isPubAck } from '../contract/pub-ack.ts';
import type { Push } from '../contract/commands.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import { NAME_BYTES_MAX } from '../session/changes.ts';
import { HeaderBlock } from '../upstream/nats/header-block.ts';
import type { KeepChannel } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import { cursorRefusal } from './push-cursors.ts';
import type { RequestMany } from './request-many.ts';

/** Users that one kept push may be for: each has a message of its own in the stream. */
export const KEPT_UIDS_MAX = 1_000;
/** How long the stream may take to say that it has stored a push. */
const STORE_WAIT_MS = 2_000;

/** Why it cannot be kept for these; null: it can. */
export function keepRefusal(push: Push): Failure | null {
  const { target } = push;
  const { uids = [], sids = [], groups = [], all = false } = target ?? {};
  if (uids.length === 0 || sids.length > 0 || groups.length > 0 || all)
    return failure(
      'BAD_ARGUMENT',
      'push.keep is for users alone: give target.uids, and nothing else',
    );
  if (uids.length > KEPT_UIDS_MAX)
    return failure('TOO_LARGE', `${uids.length} uids; a push is kept for at most ${KEPT_UIDS_MAX}`);
  const wrong = uids.find((uid) => uid === '' || !uid.isWellFormed() || tooLong(uid));
  return wrong === undefined
    ? cursorRefusal(push, { uids })
    : failure('BAD_ARGUMENT', 'push.target.uids has one that no user can have');
}

function tooLong(uid: string): boolean {
  return Buffer.byteLength(uid) > NAME_BYTES_MAX;
}

export class NatsKeepChannel implements KeepChannel {
  readonly #parts: BusParts;
  readonly #requests: RequestMany;

  constructor(parts: BusParts, requests: RequestMany) {
    this.#parts = parts;
    this.#requests = requests;
  }

  async keep(push: Push): Promise<number | Failure> {
    const uids = [...new Set(push.target?.uids)];
    const headers = new HeaderBlock(pushLines(push, null));
    const outcomes = await Promise.all(uids.map((uid) => this.#keepOne(uid, push, headers)));
    const why = outcomes.find((outcome) => outcome !== null);
    if (why === undefined) return uids.length;
    this.#parts.report.refused('UNKEPT', this.#parts.subjects.allKept, why!.message);
    const kept = outcomes.filter((outcome) => outcome === null).length;
    return kept === 0 ? why! : kept;
  }

  /** null: the stream has stored it. */
  async #keepOne(uid: string, { body }: Push, headers: HeaderBlock): Promise<Failure | null> {
    const subject = this.#parts.subjects.keep(uid);
    let said: Failure | null | undefined;
    const pending = this.#requests.send({
      subject,
      payload: asBuffer(body),
      headers,
      waitMs: STORE_WAIT_MS,
      take: ({ data }) => {
        said = isPubAck(data) ? refusalIn(data) : failure('BAD_REPLY', NOT_A_STREAM);
        return true;
      },
    });
    if (isFailure(pending)) return pending;
    if ((await pending.ended) === 'nobody') return failure('UNSUPPORTED', NO_STREAM);
    return said === undefined ? failure('TIMEOUT', NO_ANSWER) : said;
  }
}

const NO_STREAM = 'no JetStream stream keeps pith.keep.user.*: run `make keep-stream`';
const NOT_A_STREAM = 'pith.keep.user.* was answered by something other than a stream';
const NO_ANSWER = 'the stream has not said in time that it has kept the push; it may have';

/** Why the stream has not stored it; null: it has. */
function refusalIn(ack: Uint8Array): Failure | null {
  const { error } = readObject(ack) as { error?: { description?: unknown } };
  if (error === undefined) return null;
  return failure('OVERLOADED', `the stream has not kept the push: ${String(error.description)}`);
}
