/** The keys and secrets that `auth.jwt` itself names. Pure except for `readFile`. */
import { parseSecret, keyFor } from '../../config/jwt-keys.ts';
import { isPath } from '../../config/paths.ts';
import type { Finding } from '../../config/problem.ts';
import type { JwtConfig } from '../../config/schema-auth.ts';
import { errorText, fileErrorText } from '../../errors.ts';
import { KeyFault, KeyRing, readVerifyKeys, secretKey, type VerifyKey } from './verify-keys.ts';

/** [PATH_MAX of Linux] */
const PATH_CHARS_MAX = 4_096;
const FROM_FILE = 'for what is in it write "${file:/run/secrets/jwt}"';
/** Bytes of a file with keys. */
const FILE_CHARS_MAX = 512 * 1024;

export type OwnKeys = {
  readonly ring: KeyRing;
  /** What the files hold, to find out whether they have changed. */
  readonly texts: readonly string[];
  /** What is wrong: each names its key of the configuration, and its file. */
  readonly faults: readonly Finding[];
};

/** @param readFile Reads a file as text; throws if it cannot. */
export function readOwnKeys(
  { keys, secrets, algorithms, jwks_url: url }: JwtConfig,
  readFile: (path: string) => string,
): OwnKeys {
  const faults: Finding[] = [];
  const texts: string[] = [];
  const found: VerifyKey[] = [];
  const read = (key: string, index: number, name: string, take: () => VerifyKey[]): void => {
    try {
      found.push(...take());
    } catch (error) {
      const message = error instanceof KeyFault ? error.message : fileErrorText(error);
      faults.push({ path: ['auth', 'jwt', key, index], message: `${name}: ${message}` });
    }
  };
  for (const [index, entry] of keys.entries())
    read('keys', index, isPath(entry) ? entry : 'the text', () => {
      const text = isPath(entry) ? readFile(entry) : entry;
      texts.push(text);
      if (text.length > FILE_CHARS_MAX) throw new KeyFault('too long for keys');
      return readVerifyKeys(text, algorithms);
    });
  for (const [index, secret] of secrets.entries())
    read('secrets', index, 'the secret', () => {
      if (isFile(secret, readFile)) throw new KeyFault(`this is the path of a file; ${FROM_FILE}`);
      return [secretKey(parseSecret(secret), algorithms)];
    });
  if (faults.length === 0 && url === '')
    for (const [index, name] of algorithms.entries())
      if (!found.some((key) => key.algorithms.has(name))) {
        const message = `no key for ${name}; it needs ${keyFor(name)}`;
        faults.push({ path: ['auth', 'jwt', 'algorithms', index], message });
      }
  return { ...ringOf(found, faults), texts, faults };
}

/** The name of a file is no secret, and may be long enough for one. */
function isFile(secret: string, readFile: (path: string) => string): boolean {
  if (!/^[./]/.test(secret) || secret.length > PATH_CHARS_MAX) return false;
  try {
    readFile(secret);
    return true;
  } catch {
    return false;
  }
}

function ringOf(found: readonly VerifyKey[], faults: Finding[]): { ring: KeyRing } {
  try {
    return { ring: new KeyRing(found) };
  } catch (error) {
    faults.push({ path: ['auth', 'jwt', 'keys'], message: errorText(error) });
    return { ring: new KeyRing([]) };
  }
}
