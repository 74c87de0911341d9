/** `auth.jwt`, and what becomes of it when the configuration changes: keys, their URL, and what tokens must say. */
import { isDeepStrictEqual } from 'node:util';

import { TokenCheck, type TokenRules } from '../auth/jwt/token-check.ts';
import { Jwks } from '../auth/jwt/jwks.ts';
import type { FetchJwks } from '../auth/jwt/jwks-fetch.ts';
import { readOwnKeys } from '../auth/jwt/own-keys.ts';
import { Verifier } from '../auth/jwt/verifier.ts';
import type { Clock } from '../clock.ts';
import { formatPath } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import type { JwtConfig } from '../config/schema-auth.ts';
import type { Random } from '../random.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export type LiveTokensParts = {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly readFile: (path: string) => string;
  /** Makes what fetches `jwks_url`, with the files that its `tls` names. @throws {Error} when one cannot be used. */
  readonly makeFetch: (jwt: JwtConfig) => { readonly fetch: FetchJwks; readonly files: unknown };
};

/** What is in force, or will be. */
type Made = {
  readonly jwt: JwtConfig;
  readonly rules: TokenRules;
  /** What the files hold. */
  readonly texts: readonly string[];
  readonly tlsFiles: unknown;
};

/** Another configuration, ready to be put into force. */
export type PreparedTokens = {
  /** The keys of the configuration whose files have changed. */
  readonly changed: readonly string[];
  readonly use: () => void;
  /** It is not wanted any more, because another part of the configuration cannot be used. */
  readonly drop: () => void;
};

export class LiveTokens {
  readonly check: TokenCheck;
  readonly #parts: LiveTokensParts;
  readonly #throttle: LogThrottle;
  #made: Made;

  /** @throws {Error} when a key cannot be used. */
  constructor(parts: LiveTokensParts) {
    this.#parts = parts;
    this.#throttle = new LogThrottle(parts.clock);
    this.#made = this.#make(parts.config.auth.jwt);
    const { clock, metrics } = parts;
    this.check = new TokenCheck({ verifier: new Verifier(), clock, metrics }, this.#made.rules);
    metrics.watch('pith_jwks_fetched_timestamp_seconds', [], () =>
      Math.floor((this.#jwks?.seenAtWall ?? 0) / 1_000),
    );
  }

  get #jwks(): Jwks | null {
    return this.#made.rules.jwks;
  }

  /** Why no client can come in; '': one can. */
  get notReady(): string {
    return this.#jwks?.away ?? '';
  }

  /** Resolves once the keys behind the URL have been seen, if there is one. */
  get ready(): Promise<void> {
    return this.#jwks?.seen ?? Promise.resolve();
  }

  /** Fetches what has to be fetched. Resolves after the first attempt; never rejects. */
  async start(): Promise<void> {
    await this.#jwks?.start();
  }

  stop(): void {
    this.#jwks?.stop();
  }

  /**
   * Reads the keys that a configuration names, and fetches those of another URL. Nothing is in force before `use`.
   *
   * @throws {Error} when keys cannot be used, or another URL does not answer; then nothing has changed.
   */
  async prepare(config: Config): Promise<PreparedTokens> {
    const before = this.#made;
    const made = this.#make(config.auth.jwt);
    const { jwks } = made.rules;
    if (jwks !== null && jwks !== before.rules.jwks) {
      const why = await jwks.start();
      if (why !== '') {
        jwks.stop();
        throw new Error(`auth.jwt.jwks_url: ${why}`);
      }
    }
    const isNew = jwks !== before.rules.jwks;
    const hasNewFiles = !isDeepStrictEqual(made.texts, before.texts);
    return {
      changed: hasNewFiles ? [formatPath(['auth', 'jwt', 'keys'])] : [],
      use: () => {
        if (isNew) before.rules.jwks?.stop();
        this.#made = made;
        this.check.rules = made.rules;
      },
      drop: () => {
        if (isNew) jwks?.stop();
      },
    };
  }

  #make(jwt: JwtConfig): Made {
    const { ring, texts, faults } = readOwnKeys(jwt, this.#parts.readFile);
    const [fault] = faults;
    if (fault !== undefined) throw new Error(`${formatPath(fault.path)}: ${fault.message}`);
    const { from, algorithms, issuer, audience, uid, data, roles } = jwt;
    const rules = { from, algorithms, issuer, audience, uid, data, roles, skewMs: jwt.clock_skew };
    const { jwks, tlsFiles } = this.#makeJwks(jwt);
    return { jwt, texts, tlsFiles, rules: { ...rules, ring, jwks } };
  }

  /** The one that is in force stays if it is the same, with all that it has seen. */
  #makeJwks(jwt: JwtConfig): { jwks: Jwks | null; tlsFiles: unknown } {
    const { jwks_url: url, algorithms } = jwt;
    if (url === '') return { jwks: null, tlsFiles: null };
    const { fetch, files } = this.#parts.makeFetch(jwt);
    // Not there yet when the gateway is made.
    const before = this.#made as Made | undefined;
    const isSame =
      before !== undefined &&
      before.jwt.jwks_url === url &&
      isDeepStrictEqual(before.jwt.algorithms, algorithms) &&
      isDeepStrictEqual(before.tlsFiles, files);
    if (isSame) return { jwks: before.rules.jwks, tlsFiles: files };
    const { clock, random, log, metrics } = this.#parts;
    const throttle = this.#throttle;
    const jwks = new Jwks({ url, algorithms, fetch, clock, random, log, throttle, metrics });
    return { jwks, tlsFiles: files };
  }
}
