/**
 * A server's dictionary and protobuf definitions, with their versions, so that the server need not send them again.
 * Kept for the next connection, and in the application's cache if it provides one.
 */
import { isObject } from './client-error.ts';
import { parseJson } from './json.ts';

/** Keeps texts between runs. A `Map` is one; in a browser use `{ get: (k) => localStorage.getItem(k), set: … }`. */
export type ClientCache = {
  get(key: string): string | null | undefined;
  set(key: string, value: string): void;
};

type Sys = Readonly<Record<string, unknown>>;

export class DefinitionCache {
  readonly #cache: ClientCache | undefined;
  readonly #key: string;
  /** `dict`, `dictVersion` and `protos` as in a handshake's `sys`; each undefined if not known. */
  #known: Sys = {};

  constructor(cache: ClientCache | undefined, url: string) {
    this.#cache = cache;
    // One entry per server; without the query, which may hold a token.
    this.#key = `pith-client ${url.replace(/[?#].*/, '')}`;
    try {
      const kept = parseJson(cache?.get(this.#key) ?? '');
      if (isObject(kept)) this.#known = kept;
    } catch {
      // A browser may deny access to its storage.
    }
  }

  /** The versions of what is cached, for the handshake. */
  get versions(): Sys {
    const { dict, dictVersion, protos } = this.#known;
    return {
      dictVersion: isObject(dict) ? dictVersion : undefined,
      protoVersion: isObject(protos) ? protos['version'] : undefined,
    };
  }

  /** Updates the cache from a handshake's `sys`; returns the route codes and the definitions that now apply. */
  update(sys: Sys): { dict: Sys; protos: Sys } {
    const { dict, dictVersion } = sys['dict'] || !sys['useDict'] ? sys : this.#known;
    const { protos } = sys['protos'] || !sys['useProto'] ? sys : this.#known;
    this.#known = { dict, dictVersion, protos };
    try {
      this.#cache?.set(this.#key, JSON.stringify(this.#known));
    } catch {
      // The storage is full or denied: the server will send everything again.
    }
    return { dict: isObject(dict) ? dict : {}, protos: isObject(protos) ? protos : {} };
  }
}
