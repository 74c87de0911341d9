/** Keys about who may connect, and as whom. */
import { z } from 'zod';
import { choice, duration, integer, keys, pairs, secrets, text, texts } from './fields.ts';
import { checkAlgorithm, checkClaim, checkJwksUrl, checkTokenPath } from './jwt-keys.ts';
import { clientTlsSchema } from './schema-listen.ts';

const MINUTE_MS = 60_000;

const jwtSchema = z
  .strictObject({
    from: text(
      'user.token',
      'Where the token is in the handshake: a key of user or sys, as user.token.',
      checkTokenPath,
    ),
    algorithms: texts(
      'Algorithms that tokens may be signed with, as ES256: RS, PS, ES and HS with 256, 384 or 512, EdDSA, Ed25519. No other is accepted.',
      checkAlgorithm,
    ),
    keys: keys('Public keys: each a PEM file, a JWK or a JWKS, by its path or as text.'),
    secrets: secrets(
      'Secrets for HS256, HS384 and HS512, of at least 32, 48 and 64 bytes: text, or base64: and the bytes in base64.',
    ),
    jwks_url: text('', 'https URL of a JWKS with more public keys; empty: none.', checkJwksUrl),
    tls: clientTlsSchema,
    issuer: text('', 'What the claim iss must be; empty: anything.'),
    audience: text('', 'What the claim aud must be, or hold; empty: anything.'),
    uid: text('sub', 'Claim that becomes the uid; empty: none, and auth.backend binds.'),
    data: pairs('Keys of the session data, and the claims that they get.', (_key, claim) =>
      checkClaim(claim),
    ),
    roles: text(
      '',
      'Claim that becomes the key "roles" of the session data: an array, or words; empty: none.',
    ),
    clock_skew: duration(
      '30s',
      "How far the clocks of the tokens' signer and of the gateway may differ, at most 5m; 0s: not at all.",
      { zero: true, max: 5 * MINUTE_MS },
    ),
  })
  .prefault({})
  .describe('Tokens that clients come with, in mode: jwt.');

/** Who may connect, and as whom. */
export const authSchema = z
  .strictObject({
    mode: choice(
      ['none', 'jwt', 'connect'],
      'none',
      'Who decides at the handshake: nobody, a JSON Web Token, or a backend.',
    ),
    backend: text(
      '',
      'Backend that is asked in mode: connect; in mode: jwt once the token holds, empty: none.',
    ),
    jwt: jwtSchema,
    bind_within: duration(
      '0s',
      'Close sessions that have no uid so long after they have connected; 0s: never.',
      { zero: true },
    ),
    sessions_per_uid: choice(
      ['many', 'kick_old', 'refuse_new'],
      'many',
      'When a uid is bound a second time, on any gateway: many keeps both, kick_old closes the older session, refuse_new refuses the bind.',
    ),
    max_sessions_per_uid: integer(
      0,
      'With many: sessions per uid on all gateways, 0 to 1000; the oldest are closed. 0: no limit.',
      { min: 0, max: 1_000 },
    ),
  })
  .prefault({})
  .describe('Who may connect, and as whom.');

/** Tokens that clients come with. */
export type JwtConfig = z.output<typeof authSchema>['jwt'];
