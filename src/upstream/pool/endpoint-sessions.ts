/** The sessions of one endpoint: those that keep to it, and those that it has had messages of. */
import type { PooledSession } from './pooled-session.ts';
import type { Transport } from './transport.ts';

export class EndpointSessions<T extends Transport> {
  /** How many are to come here before any other endpoint gets one. */
  owed = 0;
  readonly #kept = new Set<PooledSession<T>>();
  /** Those that keep to another endpoint, and are reported here too when they end. */
  readonly #known = new Set<PooledSession<T>>();

  /** How many keep to this endpoint. */
  get size(): number {
    return this.#kept.size;
  }

  add(session: PooledSession<T>): void {
    this.#kept.add(session);
    if (this.owed > 0) this.owed--;
  }

  /** The session keeps to another endpoint, and only this message goes here. */
  know(session: PooledSession<T>): void {
    this.#known.add(session);
  }

  /** The session may go elsewhere; it has nothing in flight. @param known The backend is notified of its end anyway. */
  release(session: PooledSession<T>, known: boolean): void {
    if (!this.#kept.delete(session)) return;
    if (known) this.#known.add(session);
    session.visited = session.endpoint;
    session.endpoint = null;
  }

  /**
   * Each session is released as soon as it has nothing in flight.
   *
   * @param isKnown Asked then: whether the backend is notified of its end anyway.
   * @param onReleased Called then.
   */
  shed(isKnown: () => boolean, onReleased?: (session: PooledSession<T>) => void): void {
    for (const session of [...this.#kept]) {
      session.lane.holdUntilEmpty(() => {
        if (!this.#kept.has(session)) return;
        this.release(session, isKnown());
        onReleased?.(session);
      });
    }
  }

  /**
   * Releases up to `count` sessions that have nothing in flight, of the first `looks`; one that has sent what is not
   * answered, as soon as that has been received. Those that are busy go to the end, so the next time others are looked at.
   */
  releaseIdle(count: number, looks: number): number {
    let released = 0;
    let looked = 0;
    for (const session of this.#kept) {
      if (released >= count || looked >= looks) break;
      looked++;
      if (session.lane.inFlight === 0 && session.lane.waiting === 0) {
        session.lane.holdUntilEmpty(() => {
          this.release(session, true);
        });
        released++;
      } else {
        this.#kept.delete(session);
        this.#kept.add(session);
      }
    }
    return released;
  }

  /** The endpoint has had messages of this session. */
  has(session: PooledSession<T>): boolean {
    return this.#kept.has(session) || this.#known.has(session);
  }

  /** True if the endpoint has had messages of this session. */
  forget(session: PooledSession<T>): boolean {
    const kept = this.#kept.delete(session);
    return this.#known.delete(session) || kept;
  }

  /**
   * The endpoint is lost: each session goes elsewhere with its next message. If it connects again, it hears of their
   * ends: its backend may be the same process as before.
   */
  clear(): void {
    for (const session of this.#kept) {
      session.endpoint = null;
      this.#known.add(session);
    }
    this.#kept.clear();
    this.owed = 0;
  }

  /** The endpoint is replaced by another to the same backend, which is notified of the ends instead. */
  handOver(to: EndpointSessions<T>): void {
    for (const session of this.#known) to.know(session);
    this.#known.clear();
  }
}
