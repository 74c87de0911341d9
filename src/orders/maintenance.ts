/** A planned pause: which requests are answered MAINTENANCE, and which handshakes are refused. */
import { type Failure, failure } from '../errors.ts';
import { patternMatches } from '../routing/route-table.ts';

/** What one operator, or the configuration, has ordered. */
export type Pause = {
  /** As in `match`; empty: all, and handshakes. */
  readonly routes: readonly string[];
  /** Users who are served during the maintenance. */
  readonly allowUids: readonly string[];
  /** For clients; '': the standard text. */
  readonly message: string;
  /** Of the answer to a handshake. */
  readonly handshakeCode: number;
};

/**
 * configuration: `maintenance` of this gateway · fleet: Control, for all gateways · gateway: Control, for this one. All
 * hold together.
 */
export type PauseSource = 'configuration' | 'fleet' | 'gateway';

/** One that is in force. */
export type ActivePause = Pause & {
  readonly source: PauseSource;
  /** Since when, in milliseconds since the epoch; 0: it is not known. */
  readonly sinceWall: number;
  /** Which gateway was told. */
  readonly by: string;
};

type Compiled = ActivePause & { readonly uids: ReadonlySet<string>; readonly failure: Failure };

/** Why a handshake is refused, and its code. */
export type HandshakeRefusal = { readonly code: number; readonly why: Failure };

/** Routes whose outcome is remembered, for each state of the maintenance. */
const REMEMBERED_MAX = 8_192;

export class Maintenance {
  /** Something is paused: without it nothing else need be asked. */
  isOn = false;
  readonly #pauses = new Map<PauseSource, Compiled>();
  /** By route: those that are about it. */
  #ofRoute = new Map<string, readonly Compiled[]>();

  /** @param pause null: none any more. */
  set(source: PauseSource, pause: Omit<ActivePause, 'source'> | null): void {
    if (pause === null) this.#pauses.delete(source);
    else {
      const { message, allowUids } = pause;
      this.#pauses.set(source, {
        ...{ ...pause, source, uids: new Set(allowUids) },
        failure: message === '' ? failure('MAINTENANCE') : failure('MAINTENANCE', message),
      });
    }
    this.isOn = this.#pauses.size > 0;
    this.#ofRoute = new Map();
  }

  /** What is in force. */
  get active(): ActivePause[] {
    return [...this.#pauses.values()].map(({ uids: _uids, failure: _failure, ...pause }) => pause);
  }

  of(source: PauseSource): ActivePause | undefined {
    return this.#pauses.get(source);
  }

  /** Why a request is not served; null: it is. @param uid '': nobody's. */
  refusal(route: string, uid: string): Failure | null {
    if (!this.isOn) return null;
    for (const { uids, failure } of this.#of(route)) if (!uids.has(uid)) return failure;
    return null;
  }

  #of(route: string): readonly Compiled[] {
    const known = this.#ofRoute.get(route);
    if (known !== undefined) return known;
    const found = [...this.#pauses.values()].filter(
      ({ routes }) => routes.length === 0 || routes.some((match) => patternMatches(match, route)),
    );
    if (this.#ofRoute.size >= REMEMBERED_MAX) this.#ofRoute = new Map();
    this.#ofRoute.set(route, found);
    return found;
  }

  /**
   * Why nobody may come in; null: they may.
   *
   * @param uid Who wants to; undefined: that is not known yet, and may be somebody who is served.
   */
  handshakeRefusal(uid: string | undefined): HandshakeRefusal | null {
    if (!this.isOn) return null;
    for (const { routes, uids, handshakeCode: code, failure: why } of this.#pauses.values()) {
      if (routes.length > 0) continue;
      if (uid === undefined ? uids.size === 0 : !uids.has(uid)) return { code, why };
    }
    return null;
  }
}
