/**
 * Who may call on the control and admin ports, and what: whoever shows a token or a certificate that the configuration
 * names, and where it names none, whoever can connect.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../clock.ts';
import { failure, type Failure } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Role } from './roles.ts';
import { allowsSpiffeId, spiffeIdOf, whyNoSpiffeId } from '../spiffe.ts';

/** Who calls a method, for the audit log. */
export type Caller = {
  readonly via: 'grpc' | 'http' | 'nats';
  /** The token's name, or what its certificate says; '': not known. */
  readonly name: string;
  /** `address:port`; over NATS where the answer goes. '': not known. */
  readonly address: string;
  readonly role: Role;
};

export type AccessRules = {
  readonly tokens: readonly {
    readonly token: string;
    readonly role: Role;
    /** '': its key in the configuration. */
    readonly name: string;
  }[];
  readonly spiffe: readonly { readonly id: string; readonly role: Role }[];
};

/** A client's certificate, which its authority has signed. */
export type PeerCertificate = {
  /** Its alternative names, as Node writes them. */
  readonly names: string;
  readonly subject: string;
};

/** What a caller shows. */
export type Shown = Pick<Caller, 'via' | 'address'> & {
  /** The header or the metadata of this name; undefined: none. */
  readonly authorization: string | undefined;
  /** null: none, or none that could be verified. */
  readonly certificate: PeerCertificate | null;
};

export type AccessParts = { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics };

type Identity = { readonly role: Role; readonly name: string };
type Known = { readonly digest: Buffer; readonly identity: Identity };

/** Characters of a name that the log shows. */
const NAME_CHARS_MAX = 256;
/** Characters of a refusal, which may quote a certificate. */
const WHY_CHARS_MAX = 400;

/** Of one port. */
export class Access {
  readonly #port: 'control' | 'admin';
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #throttle: LogThrottle;
  #tokens: readonly Known[] = [];
  #spiffe: AccessRules['spiffe'] = [];

  constructor(port: 'control' | 'admin', rules: AccessRules, { clock, log, metrics }: AccessParts) {
    this.#port = port;
    this.#log = log;
    this.#metrics = metrics;
    this.#throttle = new LogThrottle(clock);
    this.setRules(rules);
  }

  /** From the next call on; calls that have begun are not ended. */
  setRules({ tokens, spiffe }: AccessRules): void {
    this.#tokens = tokens.map(({ token, role, name }, i) => ({
      digest: digest(token),
      identity: { role, name: name === '' ? `${this.#port}.tokens[${i}]` : name },
    }));
    this.#spiffe = spiffe;
  }

  /** Whoever can connect may call everything. */
  get isOpen(): boolean {
    return this.#tokens.length === 0 && this.#spiffe.length === 0;
  }

  /** The caller, if it may call something that needs `role`; or why it may not, which is logged and counted. */
  admit(method: string, role: Role, shown: Shown): Caller | Failure {
    const { via, address } = shown;
    const found = this.#identify(shown);
    if (typeof found === 'string') return this.#refuse(method, address, 'UNAUTHENTICATED', found);
    const { name } = found;
    if (role === 'read' || found.role === 'write') return { via, name, address, role: found.role };
    const why = `${method} needs the role write, and ${name} has the role read`;
    return this.#refuse(method, address, 'FORBIDDEN', why);
  }

  /** Who it is; a text: why that is not known. */
  #identify({ authorization, certificate }: Shown): Identity | string {
    if (this.isOpen)
      return { role: 'write', name: certificate === null ? '' : nameIn(certificate) };
    // A wrong token is refused whatever else is shown: its owner should hear of it.
    if (authorization !== undefined && this.#tokens.length > 0) return this.#byToken(authorization);
    const id = certificate === null ? '' : spiffeIdOf(certificate.names);
    const rule = this.#spiffe.find(({ id: allowed }) => allowsSpiffeId(allowed, id));
    if (rule !== undefined) return { role: rule.role, name: id };
    if (this.#spiffe.length > 0 && certificate !== null) {
      const key = `${this.#port}.spiffe`;
      const why =
        id === ''
          ? `the certificate has no SPIFFE id for ${key}: ${whyNoSpiffeId(certificate.names)}`
          : `the certificate's SPIFFE id is not in ${key}: ${id}`;
      return why.slice(0, WHY_CHARS_MAX);
    }
    const ways = [
      ...(this.#tokens.length > 0 ? ['a token, as authorization: Bearer <token>'] : []),
      ...(this.#spiffe.length > 0 ? [`a certificate with an id of ${this.#port}.spiffe`] : []),
    ];
    return `this port needs ${ways.join(', or ')}`;
  }

  #byToken(authorization: string): Identity | string {
    const [, token] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
    if (token === undefined) return 'authorization is not "Bearer <token>"';
    const shown = digest(token);
    let found: Identity | null = null;
    // All of them, and of equal length, so that the time it takes says nothing.
    for (const { digest: known, identity } of this.#tokens)
      if (timingSafeEqual(known, shown)) found = identity;
    return found ?? 'the token is not one of this port';
  }

  #refuse(
    method: string,
    address: string,
    reason: 'UNAUTHENTICATED' | 'FORBIDDEN',
    why: string,
  ): Failure {
    this.#metrics.add('pith_control_calls_refused_total', [this.#port, reason]);
    const left = this.#throttle.allow(reason);
    if (left !== null)
      this.#log.warn({ port: this.#port, address, method, why, ...left }, 'call refused');
    return failure(reason, why);
  }
}

function nameIn({ names, subject }: PeerCertificate): string {
  const id = spiffeIdOf(names);
  return (id === '' ? subject : id).slice(0, NAME_CHARS_MAX);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
