/** The sessions of one way to a backend: those that keep to it, and those that it has had messages of. */
import type { Lane } from '../../session/lane.ts';

export class EndpointSessions {
  /** How many are to come here before any other way gets one. */
  owed = 0;
  readonly #kept = new Set<Lane>();
  /** Those that keep to another way, and are reported here too when they end. */
  readonly #known = new Set<Lane>();

  /** How many keep to this way. */
  get size(): number {
    return this.#kept.size;
  }

  add(lane: Lane): void {
    this.#kept.add(lane);
    if (this.owed > 0) this.owed--;
  }

  /** The session keeps to another way, and only this message goes here. */
  know(lane: Lane): void {
    this.#known.add(lane);
  }

  /** The session may go elsewhere; it has nothing in flight. @param known The backend is told of its end anyway. */
  release(lane: Lane, known: boolean): void {
    if (!this.#kept.delete(lane)) return;
    if (known) this.#known.add(lane);
    lane.place = null;
  }

  /**
   * Each session is released as soon as it has nothing in flight.
   *
   * @param isKnown Asked then: the backend is told of its end anyway.
   * @param onReleased Called then.
   */
  shed(isKnown: () => boolean, onReleased?: (lane: Lane) => void): void {
    for (const lane of [...this.#kept]) {
      lane.holdUntilEmpty(() => {
        if (!this.#kept.has(lane)) return;
        this.release(lane, isKnown());
        onReleased?.(lane);
      });
    }
  }

  /**
   * Releases up to `count` sessions that have nothing in flight, of the first `looks`. Those that are busy go to
   * the end, so the next time others are looked at.
   */
  releaseIdle(count: number, looks: number): number {
    let released = 0;
    let looked = 0;
    for (const lane of this.#kept) {
      if (released >= count || looked >= looks) break;
      looked++;
      if (lane.inFlight === 0 && lane.waiting === 0) {
        this.release(lane, true);
        released++;
      } else {
        this.#kept.delete(lane);
        this.#kept.add(lane);
      }
    }
    return released;
  }

  /** True when the way has had messages of this session. */
  forget(lane: Lane): boolean {
    const kept = this.#kept.delete(lane);
    return this.#known.delete(lane) || kept;
  }

  /** The way is lost: each session goes elsewhere with its next message. */
  clear(): void {
    for (const lane of this.#kept) lane.place = null;
    this.#kept.clear();
    this.#known.clear();
    this.owed = 0;
  }

  /** The way is replaced by another to the same backend, which tells of the ends instead. */
  handOver(to: EndpointSessions): void {
    for (const lane of this.#known) to.know(lane);
    this.#known.clear();
  }
}
