/** What an HTTP backend's upstream keeps of each session: its headers, and whether the backend knows it. */
import type { ClosedSession } from '../../contract/facts.ts';
import type { Lane, BackendSession } from '../../session/lane.ts';
import { FactsCache } from '../facts-cache.ts';
import type { HttpUpstream } from './http-upstream.ts';
import type { Pairs, RequestHeaders } from './request-headers.ts';

class HttpSession implements BackendSession {
  readonly headers: FactsCache<Pairs>;
  /** The backend has had messages of it, and is notified of its end. */
  isKnown = false;
  readonly #upstream: HttpUpstream;

  constructor(upstream: HttpUpstream, headers: RequestHeaders) {
    this.headers = new FactsCache(headers.ofSession);
    this.#upstream = upstream;
  }

  get places(): readonly string[] {
    return this.isKnown ? [''] : [];
  }

  forget(closed: ClosedSession): void {
    if (this.isKnown) this.#upstream.tellClosed(closed);
    this.isKnown = false;
  }
}

export class HttpSessions {
  readonly #upstream: HttpUpstream;
  readonly #headers: RequestHeaders;

  constructor(upstream: HttpUpstream, headers: RequestHeaders) {
    this.#upstream = upstream;
    this.#headers = headers;
  }

  of(lane: Lane): HttpSession {
    return lane.backendSession instanceof HttpSession
      ? lane.backendSession
      : (lane.backendSession = new HttpSession(this.#upstream, this.#headers));
  }
}
