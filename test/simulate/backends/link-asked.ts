/** A request that came on a Link. */
import type { SeededRandom } from '../random.ts';
import type { Conversation } from './conversation.ts';
import type { Answer, Asked } from './desk.ts';

export class LinkAsked implements Asked {
  isCancelled = false;
  readonly id: number;
  readonly version: number;
  /** Length of the message. */
  readonly bytes: number;
  readonly #link: Conversation;

  constructor(
    link: Conversation,
    { id, version, bytes }: { id: number; version: number; bytes: number },
  ) {
    this.#link = link;
    this.id = id;
    this.version = version;
    this.bytes = bytes;
  }

  answer(answer: Answer): void {
    this.#link.answer(this.id, answer);
  }

  garbage(random: SeededRandom): void {
    this.#link.garbage(this.id, random);
  }

  extend(ms: number): void {
    this.#link.extend(this.id, ms);
  }
}
