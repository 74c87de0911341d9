/**
 * JSON Web Tokens and keys made here, by node:crypto alone: the gateway verifies with a library, which is not to judge its
 * own work. [RFC 7515, RFC 7518]
 */
import {
  constants,
  createHmac,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

import { Authority } from './tls.ts';

export type SigningKey = KeyObject | Buffer | string;

export const EC_CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;

/** A new pair for an algorithm; for one with a secret there is none. */
export function keyPairFor(algorithm: string): { publicKey: KeyObject; privateKey: KeyObject } {
  if (/^[RP]S/.test(algorithm)) return generateKeyPairSync('rsa', { modulusLength: 2_048 });
  if (algorithm.startsWith('Ed')) return generateKeyPairSync('ed25519');
  const namedCurve = EC_CURVES[algorithm as keyof typeof EC_CURVES];
  return generateKeyPairSync('ec', { namedCurve });
}

export function pemOf(publicKey: KeyObject): string {
  return publicKey.export({ type: 'spki', format: 'pem' }) as string;
}

export function jwkOf(publicKey: KeyObject, more: object = {}): JsonWebKey & object {
  return { ...publicKey.export({ format: 'jwk' }), ...more };
}

const part = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function signature(algorithm: string, key: SigningKey, data: Buffer): Buffer {
  if (algorithm === 'none') return Buffer.alloc(0);
  const hash = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('HS'))
    return createHmac(hash, key as Buffer)
      .update(data)
      .digest();
  if (algorithm.startsWith('Ed')) return sign(null, data, key as KeyObject);
  if (algorithm.startsWith('ES'))
    return sign(hash, data, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' });
  const isPss = algorithm.startsWith('PS');
  return sign(hash, data, {
    key: key as KeyObject,
    padding: isPss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING,
    ...(isPss && { saltLength: constants.RSA_PSS_SALTLEN_DIGEST }),
  });
}

/**
 * A token.
 *
 * @param claims An object, or JSON text of its own.
 * @param header Added to `alg` and `typ`; or the whole header as JSON text.
 * @param signedAs The algorithm by which it is signed, where the header says another.
 */
export function token(
  claims: unknown,
  key: SigningKey,
  algorithm: string,
  header: object | string = {},
  signedAs = algorithm,
): string {
  const head = typeof header === 'string' ? header : { alg: algorithm, typ: 'JWT', ...header };
  const signed = `${part(head)}.${part(claims)}`;
  return `${signed}.${signature(signedAs, key, Buffer.from(signed)).toString('base64url')}`;
}

/** A JWKS behind an https URL of this machine, with an authority of its own. */
export class JwksServer implements AsyncDisposable {
  readonly authority: Authority;
  /** How often it was asked, and with what. */
  readonly asked: { readonly url: string; readonly headers: Record<string, unknown> }[] = [];
  /** What it answers; null: nothing, ever. */
  answer: { status?: number; headers?: Record<string, string>; body: string } | null;
  readonly #server: https.Server;

  private constructor(authority: Authority, keys: readonly object[]) {
    this.authority = authority;
    this.answer = { body: JSON.stringify({ keys }) };
    this.#server = https.createServer(authority.issue('localhost'), (request, response) => {
      this.asked.push({ url: request.url!, headers: request.headers });
      if (this.answer === null) return;
      const { status = 200, headers = {}, body } = this.answer;
      response.writeHead(status, headers).end(body);
    });
  }

  static async start(keys: readonly object[], port = 0): Promise<JwksServer> {
    const server = new JwksServer(new Authority('JWKS authority'), keys);
    server.#server.listen(port, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://localhost:${this.port}/keys/jwks.json`;
  }

  /** From now on it has these. */
  serve(keys: readonly object[]): void {
    this.answer = { body: JSON.stringify({ keys }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
