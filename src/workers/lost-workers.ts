/** Workers that have crashed, until another one has been told: it says that they are lost, so nobody waits for the silence. */
import { inBackground } from '../background.ts';
import type { Child } from './child.ts';
import type { LostAsk } from './words.ts';

export class LostWorkers {
  /** No more than the parent lets crash. */
  readonly #untold: LostAsk[] = [];

  add(lost: LostAsk): void {
    this.#untold.push(lost);
  }

  /** Tells one that is ready; if there is none, nothing happens. */
  tell(children: readonly Child[]): void {
    if (this.#untold.length === 0) return;
    const speaker = children.find(({ isReady }) => isReady);
    if (speaker === undefined) return;
    for (const lost of this.#untold.splice(0))
      inBackground(speaker.channel.ask('lost', lost), () => {
        // It has crashed as well, or is stuck: the next that is heard is told.
        this.#untold.push(lost);
      });
  }
}
