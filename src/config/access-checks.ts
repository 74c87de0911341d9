/** What is checked of who may call: tokens that can be guessed, ports that anybody could call. Pure. */
import { allowsSpiffeId } from '../spiffe.ts';
import { isLoopback, parseAddress } from './address.ts';
import { formatPath } from './problem.ts';
import type { Config } from './schema.ts';
import type { Path } from './schema-tree.ts';
import type { Report, Sections } from './sections.ts';

/** Characters of a token; 24 of base64 have 144 bits, 24 of hex 96. */
export const TOKEN_CHARS_MIN = 24;
/** A header has room for 16 KiB. */
const TOKEN_CHARS_MAX = 4_096;
/** A random token, or secret, has more different characters than this. */
export const TOKEN_DISTINCT_MIN = 8;

const MAKE_ONE = 'make one with: openssl rand -hex 32';

type Section = Config['control'] | Config['admin'];
type Name = 'control' | 'admin';
const NAMES: readonly Name[] = ['control', 'admin'];

/** What is wrong with a secret that callers show in a header, without showing it; undefined: nothing. */
export function weaknessOf(token: string): string | undefined {
  if (!/^[\x21-\x7e]*$/.test(token))
    return `a token has letters, digits and signs of ASCII, without spaces or line ends; ${MAKE_ONE}`;
  if (token.length < TOKEN_CHARS_MIN)
    return `${token.length} characters can be guessed; a token has at least ${TOKEN_CHARS_MIN}: ${MAKE_ONE}`;
  if (token.length > TOKEN_CHARS_MAX)
    return `${token.length} characters do not fit into a header; at most ${TOKEN_CHARS_MAX}`;
  if (new Set(token).size < TOKEN_DISTINCT_MIN)
    return `it has fewer than ${TOKEN_DISTINCT_MIN} different characters, and can be guessed; ${MAKE_ONE}`;
  return undefined;
}

export function checkAccess(sections: Sections, report: Report, warn: Report): void {
  const { known } = sections;
  for (const name of NAMES) {
    const section = known[name];
    if (section === undefined) continue;
    checkTokens(name, section, report);
    checkSpiffe(name, section, report, warn);
    checkReach(name, section, report, warn);
  }
  const open = NAMES.find((name) => {
    const section = known[name];
    return section !== undefined && !isLoopback(parseAddress(section.listen));
  });
  if (open !== undefined) checkDialIn(open, sections, report);
  checkSharedTokens(sections, report);
}

/** All tokens of a port, each with its path. */
function tokensOf(name: Name, { token, tokens }: Section): [Path, string][] {
  return [
    ...(token === '' ? [] : [[[name, 'token'], token] satisfies [Path, string]]),
    ...tokens.map((entry, i): [Path, string] => [[name, 'tokens', i, 'token'], entry.token]),
  ];
}

function checkTokens(name: Name, section: Section, report: Report): void {
  const seen = new Set<string>();
  for (const [path, token] of tokensOf(name, section)) {
    const weakness = weaknessOf(token);
    if (weakness !== undefined) report(path, weakness);
    else if (seen.has(token)) report(path, 'the same token twice: give each caller its own');
    seen.add(token);
  }
}

function checkSpiffe(name: Name, { spiffe, tls }: Section, report: Report, warn: Report): void {
  if (spiffe.length > 0 && (tls.cert === '' || tls.ca === ''))
    report(
      [name, 'spiffe'],
      `needs ${name}.tls with cert, key, and the ca that signs the callers' certificates`,
    );
  for (const [i, { id }] of spiffe.entries()) {
    const before = spiffe.slice(0, i).findIndex((other) => allowsSpiffeId(other.id, id));
    if (before >= 0)
      warn(
        [name, 'spiffe', i, 'id'],
        `never reached: ${name}.spiffe[${before}] ("${spiffe[before]!.id}") matches first`,
      );
  }
}

/** Whoever can reach the port can read every session and close it. */
function checkReach(name: Name, section: Section, report: Report, warn: Report): void {
  if (isLoopback(parseAddress(section.listen))) return;
  const { spiffe, tls } = section;
  const hasClientCertificates = tls.require_client_cert && tls.ca !== '';
  const hasTokens = tokensOf(name, section).length > 0;
  if (!hasTokens && spiffe.length === 0 && !hasClientCertificates) {
    report(
      [name, 'listen'],
      `beyond loopback this needs ${name}.token (openssl rand -hex 32), or client certificates (${name}.tls with ca ` +
        `and require_client_cert); else listen on 127.0.0.1${name === 'control' ? ' or unix:/path' : ''}`,
    );
  } else if (hasTokens && tls.cert === '') {
    warn(
      [name, 'tls'],
      `tokens cross the network unencrypted, and whoever reads one can use it: set ${name}.tls`,
    );
  }
}

/** Whoever attaches answers for the players. */
function checkDialIn(open: Name, { backends }: Sections, report: Report): void {
  for (const [name, backend] of backends) {
    if (backend?.kind !== 'dial_in') continue;
    const { token } = backend.dial_in;
    const weakness =
      token === '' ? `anybody could answer for this backend: ${MAKE_ONE}` : weaknessOf(token);
    if (weakness !== undefined)
      report(
        ['backends', name, 'dial_in', 'token'],
        `${open}.listen is beyond loopback; ${weakness}`,
      );
  }
}

/** Otherwise a backend could act as an operator. */
function checkSharedTokens({ known, backends }: Sections, report: Report): void {
  const operators = NAMES.flatMap((name) => {
    const section = known[name];
    return section === undefined ? [] : tokensOf(name, section);
  });
  for (const [name, backend] of backends) {
    if (backend?.kind !== 'dial_in') continue;
    const { token } = backend.dial_in;
    const same = operators.find(([, other]) => other === token);
    if (same !== undefined)
      report(
        ['backends', name, 'dial_in', 'token'],
        `the same as ${formatPath(same[0])}: whoever attaches could call Control with it; ${MAKE_ONE}`,
      );
  }
}
