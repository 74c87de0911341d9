/** Tokens by PyJWT, with keys of its own: what others sign, and not we. */
import { join } from 'node:path';

import { run } from './process.ts';
import { installPythonWith } from './python.ts';
import { ROOT } from './serve.ts';

const PROGRAM = `
import json, sys, jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
claims, others = json.loads(sys.argv[1]), {}
keys = {"RS256": rsa.generate_private_key(65537, 2048), "PS384": rsa.generate_private_key(65537, 3072),
        "ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1()),
        "ES512": ec.generate_private_key(ec.SECP521R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}
for name, key in keys.items():
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk = json.loads(jwt.get_algorithm_by_name(name).to_jwk(key.public_key()))
    others[name] = {"pem": pem.decode(), "jwk": jwk, "token": jwt.encode(claims, key, name, headers={"kid": name})}
secret = "a secret of PyJWT that has more than 64 bytes, as HS512 wants it to have."
for name in ("HS256", "HS384", "HS512"):
    others[name] = {"secret": secret, "token": jwt.encode(claims, secret, name)}
print(json.dumps(others))
`;

export type PyToken = {
  readonly token: string;
  readonly pem?: string;
  readonly jwk?: object;
  readonly secret?: string;
};

/** One token for each algorithm, by its name. null: this machine has no Python with pip. */
export async function pyTokens(claims: object): Promise<Record<string, PyToken> | null> {
  const python = await installPythonWith(join(ROOT, 'test/tools/jwt-requirements.txt'));
  if (python === null) return null;
  const { code, output } = await run(python, ['-c', PROGRAM, JSON.stringify(claims)]);
  if (code !== 0) throw new Error(output);
  return JSON.parse(output) as Record<string, PyToken>;
}
