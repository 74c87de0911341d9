/** How much each side of a Link may still send: proto/README.md, Credit. */
import type { World } from '../world.ts';

/** Small, so that a gateway often has to wait. */
const WINDOW_FRAMES = 8;
const WINDOW_BYTES = 40 * 1024;

/** What a backend has given, and what the gateway has used of it. */
export class CreditGiven {
  readonly #world: World;
  readonly #name: string;
  #frames = 0;
  #bytes = 0;
  #processedFrames = WINDOW_FRAMES;
  #processedBytes = WINDOW_BYTES;
  /** Nothing has been given yet, and the gateway may not know that it needs any. */
  #isNew = true;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  /** A message has come. */
  spend(bytes: number): void {
    if (this.#isNew || this.#frames < 1 || this.#bytes < 1) {
      const left = `${this.#frames} frames and ${this.#bytes} bytes were left`;
      this.#world.violate(
        'credit is kept',
        `${this.#name}: a message of ${bytes} bytes, and ${left}`,
      );
    }
    this.#frames--;
    this.#bytes -= bytes;
  }

  /** True: it is time to give more. */
  processed(bytes: number): boolean {
    this.#processedFrames++;
    this.#processedBytes += bytes;
    if (this.#isNew) return false;
    return this.#processedFrames >= WINDOW_FRAMES / 2 || this.#processedBytes >= WINDOW_BYTES / 2;
  }

  grant(): { frames: number; bytes: number } {
    const grant = { frames: this.#processedFrames, bytes: this.#processedBytes };
    this.#frames += grant.frames;
    this.#bytes += grant.bytes;
    this.#processedFrames = 0;
    this.#processedBytes = 0;
    this.#isNew = false;
    return grant;
  }
}

/** What a gateway has given. */
export class CreditGot {
  #frames = 0;
  #bytes = 0;

  add(frames: number, bytes: number): void {
    this.#frames += frames;
    this.#bytes += bytes;
  }

  /** False: it has to wait. */
  spend(bytes: number): boolean {
    if (this.#frames < 1 || this.#bytes < 1) return false;
    this.#frames--;
    this.#bytes -= bytes;
    return true;
  }
}
