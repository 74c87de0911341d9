/**
 * The dictionary and the protobuf definitions of a server, with their versions: what a client holds already is
 * not sent to it again. Kept for the next connection, and in the application's cache if it gives one.
 */
import { isObject } from './client-error.ts';
import { parseJson } from './json.ts';

/** Where texts are kept between runs. A `Map` is one; for a browser `{ get: (k) => localStorage.getItem(k), set: … }`. */
export type ClientCache = {
  get(key: string): string | null | undefined;
  set(key: string, value: string): void;
};

type Sys = Readonly<Record<string, unknown>>;

export class Learned {
  readonly #cache: ClientCache | undefined;
  readonly #key: string;
  /** `dict`, `dictVersion` and `protos` as a handshake's `sys` has them; what is not there is undefined. */
  #known: Sys = {};

  constructor(cache: ClientCache | undefined, url: string) {
    this.#cache = cache;
    // One server's definitions must not be taken for another's, nor a token in a query be written down.
    this.#key = `pith-client ${url.replace(/[?#].*/, '')}`;
    try {
      const kept = parseJson(cache?.get(this.#key) ?? '');
      if (isObject(kept)) this.#known = kept;
    } catch {
      // A browser may forbid its storage.
    }
  }

  /** For the handshake: the versions of what is held. */
  get versions(): Sys {
    const { dict, dictVersion, protos } = this.#known;
    return {
      dictVersion: isObject(dict) ? dictVersion : undefined,
      protoVersion: isObject(protos) ? protos['version'] : undefined,
    };
  }

  /** Takes what a handshake's `sys` tells; gives the codes by route and the definitions to use with this server now. */
  learn(sys: Sys): { dict: Sys; protos: Sys } {
    const { dict, dictVersion } = sys['dict'] || !sys['useDict'] ? sys : this.#known;
    const { protos } = sys['protos'] || !sys['useProto'] ? sys : this.#known;
    this.#known = { dict, dictVersion, protos };
    try {
      this.#cache?.set(this.#key, JSON.stringify(this.#known));
    } catch {
      // It is full, or forbidden: the server will send all of it again.
    }
    return { dict: isObject(dict) ? dict : {}, protos: isObject(protos) ? protos : {} };
  }
}
