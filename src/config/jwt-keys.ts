/** What `auth.jwt` may say: algorithms, secrets, claims, and where a token is. Pure. */
import { TOKEN_DISTINCT_MIN } from './access-checks.ts';
import { didYouMean } from './problem.ts';
import type { Report, Sections } from './sections.ts';

/** Algorithms of a public key, by what key they need. [RFC 7518 section 3.1, RFC 8037, RFC 9864] */
const PUBLIC = {
  RS256: 'an RSA key',
  RS384: 'an RSA key',
  RS512: 'an RSA key',
  PS256: 'an RSA key',
  PS384: 'an RSA key',
  PS512: 'an RSA key',
  ES256: 'a key on the curve P-256',
  ES384: 'a key on the curve P-384',
  ES512: 'a key on the curve P-521',
  EdDSA: 'an Ed25519 key',
  Ed25519: 'an Ed25519 key',
} as const;

/** Bytes that a secret must have at least: as many as the hash. [RFC 7518 section 3.2] */
export const SECRET_BYTES_MIN: Readonly<Record<string, number>> = {
  HS256: 32,
  HS384: 48,
  HS512: 64,
};

const ALGORITHMS: readonly string[] = [...Object.keys(PUBLIC), ...Object.keys(SECRET_BYTES_MIN)];

/** Keys and secrets without a name that may have to be tried one after the other with a token. */
export const UNNAMED_KEYS_MAX = 8;

const BASE64 = 'base64:';

export function isAlgorithm(name: string): boolean {
  return ALGORITHMS.includes(name);
}

/** True where the signer and the gateway share a secret. */
export function usesSecret(algorithm: string): boolean {
  return Object.hasOwn(SECRET_BYTES_MIN, algorithm);
}

/** The key that an algorithm needs, for a message. */
export function keyFor(algorithm: string): string {
  return Object.hasOwn(PUBLIC, algorithm)
    ? PUBLIC[algorithm as keyof typeof PUBLIC]
    : `a secret of ${SECRET_BYTES_MIN[algorithm]} bytes or more`;
}

export function checkAlgorithm(value: string): string | undefined {
  if (isAlgorithm(value)) return undefined;
  if (value.toLowerCase() === 'none')
    return 'none is no signature: anyone could make a token. Name the algorithm that yours are signed with, as ES256';
  return `unknown algorithm "${value}"${didYouMean(value, ALGORITHMS) || `; expected one of ${ALGORITHMS.join(' ')}`}`;
}

export function checkTokenPath(value: string): string | undefined {
  if (/^user\.pith(\.|$)/.test(value))
    return 'user.pith is for the gateway itself; use another key';
  return /^(user|sys)\.[^\s]+$/.test(value)
    ? undefined
    : 'expected a key of the handshake, as user.token or sys.token';
}

export function checkClaim(value: string): string | undefined {
  return value === '' ? 'expected the name of a claim, as level or app.level' : undefined;
}

/** One https URL, and nothing in it that a token could have a part in. */
export function checkJwksUrl(value: string): string | undefined {
  if (/[{}]/.test(value))
    return 'there are no placeholders: whoever makes a token could choose where its key is read';
  if (!URL.canParse(value)) return 'expected an https URL, as https://id.example.com/jwks.json';
  const { protocol, username, password, hash } = new URL(value);
  if (protocol === 'http:')
    return 'http is not safe: whoever is on the way could put in keys of their own. Use https://, with auth.jwt.tls.ca for an authority of your own';
  if (protocol !== 'https:') return 'expected an https URL, as https://id.example.com/jwks.json';
  if (username !== '' || password !== '')
    return 'a JWKS is public, so there is no user and password';
  return hash === '' ? undefined : 'expected a URL without #';
}

/**
 * A secret's bytes: those of the text in UTF-8, or after `base64:` those that it stands for.
 *
 * @throws {Error} Says what is wrong, without showing the secret.
 */
export function parseSecret(text: string): Buffer {
  if (!text.startsWith(BASE64)) {
    if (/-----BEGIN |^\s*\{/.test(text))
      throw new Error(
        'this is a key and not a secret; a public key as a secret would let anyone make tokens. Put it into auth.jwt.keys',
      );
    return Buffer.from(text);
  }
  const base64 = text.slice(BASE64.length).trim();
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(base64)) throw new Error('not base64 after "base64:"');
  return Buffer.from(base64, 'base64');
}

export function checkJwt({ known: { auth } }: Sections, report: Report): void {
  if (auth === undefined) return;
  const { mode, backend, jwt } = auth;
  const path = ['auth', 'jwt'];
  const isConfigured = jwt.keys.length + jwt.secrets.length > 0 || jwt.jwks_url !== '';
  if (mode !== 'jwt') {
    if (isConfigured || jwt.algorithms.length > 0)
      report(path, `has no effect with auth.mode: ${mode}; set auth.mode: jwt`);
    return;
  }
  if (!isConfigured)
    report(['auth', 'mode'], 'jwt needs auth.jwt.keys, auth.jwt.secrets or auth.jwt.jwks_url');
  if (jwt.algorithms.length === 0)
    report(
      [...path, 'algorithms'],
      'name the algorithms that your tokens are signed with, as [ES256]; no other is accepted',
    );
  checkSecrets(jwt, report);
  if (jwt.jwks_url !== '' && jwt.issuer === '' && jwt.audience === '')
    report(
      [...path, 'audience'],
      'with jwks_url, set audience or issuer: a provider signs tokens for others with the same keys, and all of those would be let in',
    );
  if (jwt.tls.ca + jwt.tls.cert !== '' && jwt.jwks_url === '')
    report([...path, 'tls'], 'only with jwks_url');
  if (jwt.uid === '' && backend === '')
    report([...path, 'uid'], 'without a claim for the uid, auth.backend has to say who it is');
  if (jwt.roles !== '' && Object.hasOwn(jwt.data, 'roles'))
    report([...path, 'data', 'roles'], 'auth.jwt.roles sets the same key');
}

function checkSecrets(
  { algorithms, secrets, keys, jwks_url: url }: NonNullable<Sections['known']['auth']>['jwt'],
  report: Report,
): void {
  const own = algorithms.filter(usesSecret);
  const path = ['auth', 'jwt', 'secrets'];
  if (secrets.length > 0 && own.length === 0 && algorithms.length > 0)
    report(path, `${algorithms.join(' ')} use no secret; add HS256 to algorithms, or remove it`);
  if (own.length > 0 && secrets.length === 0 && keys.length === 0 && url !== '')
    report(path, `${own[0]} needs a secret, and one that a URL shows to everybody is none`);
  if (secrets.length > UNNAMED_KEYS_MAX)
    report(path, `${secrets.length} secrets; at most ${UNNAMED_KEYS_MAX} are allowed`);
  const bytesMin = Math.max(
    SECRET_BYTES_MIN['HS256']!,
    ...own.map((name) => SECRET_BYTES_MIN[name]!),
  );
  for (const [index, secret] of secrets.entries()) {
    try {
      const secretBytes = parseSecret(secret);
      const { length } = secretBytes;
      if (length >= bytesMin) {
        if (new Set(secretBytes).size < TOKEN_DISTINCT_MIN)
          report(
            [...path, index],
            `it has fewer than ${TOKEN_DISTINCT_MIN} different bytes, and can be guessed; make one with: openssl rand -base64 ${bytesMin}`,
          );
        continue;
      }
      const bytes = `${length} ${length === 1 ? 'byte' : 'bytes'}`;
      report(
        [...path, index],
        `${bytes}; ${own.at(-1) ?? 'HS256'} needs at least ${bytesMin}, or it can be guessed: make one with: openssl rand -base64 ${bytesMin}`,
      );
    } catch (error) {
      report([...path, index], (error as Error).message);
    }
  }
}
