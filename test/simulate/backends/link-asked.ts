/** A request that came on a Link. */
import type { Conversation } from './conversation.ts';
import type { Answer, Asked } from './courier.ts';
import type { Mischief } from './wrong.ts';

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

  garbage(mischief: Mischief): void {
    this.#link.garbage(this.id, mischief);
  }

  extend(ms: number): void {
    this.#link.extend(this.id, ms);
  }
}
