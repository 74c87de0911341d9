/**
 * What a backend sends on its own over a Link (pushes and verbs), and how it is made to wait. One that knows
 * credit is granted as much as has been dealt with; of another no more is read while too much is not.
 */

/** What a backend may send before the first of it is dealt with. */
export const WINDOW_FRAMES = 4_096;
export const WINDOW_BYTES = 4 * 1024 * 1024;
/** Pushes and verbs that wait for their result; beyond it the stream is not read. */
export const ASKED_MAX = 1_024;

export class ReceiveWindow {
  /** Handed on, and not yet dealt with. */
  asked = 0;
  #credit = false;
  /** Left of what was granted. */
  #frames = 0;
  #bytes = 0;
  /** Handled, and not granted again yet. */
  #doneFrames = 0;
  #doneBytes = 0;

  /** The backend keeps to what it is granted. */
  useCredit(): void {
    this.#credit = true;
    this.#doneFrames = WINDOW_FRAMES;
    this.#doneBytes = WINDOW_BYTES;
  }

  /** One has come. False: it was not granted. The last of a grant may be larger than what is left. */
  take(bytes: number): boolean {
    this.asked++;
    if (!this.#credit) return true;
    if (this.#frames < 1 || this.#bytes < 1) return false;
    this.#frames--;
    this.#bytes -= bytes;
    return true;
  }

  done(bytes: number): void {
    this.asked--;
    this.#doneFrames++;
    this.#doneBytes += bytes;
  }

  /** What to grant now: nothing, until it is worth a frame. */
  grant(): { readonly frames: number; readonly bytes: number } | null {
    if (!this.#credit) return null;
    const [frames, bytes] = [this.#doneFrames, this.#doneBytes];
    if (frames < WINDOW_FRAMES / 2 && bytes < WINDOW_BYTES / 2) return null;
    this.#doneFrames = 0;
    this.#doneBytes = 0;
    this.#frames += frames;
    this.#bytes += bytes;
    return { frames, bytes };
  }
}
