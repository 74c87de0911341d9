/** Names in certificates of workloads. Pure. [SPIFFE-ID, X509-SVID] */

/** A trust domain, and segments below it. [SPIFFE-ID section 2] */
const ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)*$/;
const ID_CHARS_MAX = 2_048;
/** One alternative name as Node writes it: quoted, as in JSON, where it would otherwise be unclear where it ends. */
const NAME = /([^:,"]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

/**
 * The SPIFFE id of a certificate; '': it has none. Whoever has a certificate with more than one URI has no id, since
 * nobody could say which of them counts. [X509-SVID section 2]
 *
 * @param names Its alternative names, as Node writes them.
 */
export function spiffeIdOf(names: string): string {
  const uris = urisOf(names);
  const [id = ''] = uris;
  return uris.length === 1 && isSpiffeId(id) ? id : '';
}

/** Why a certificate with these names has no id, for people. */
export function whyNoSpiffeId(names: string): string {
  const [uri, ...more] = urisOf(names);
  if (uri === undefined) return 'it has no URI name';
  if (more.length > 0) return `it has ${1 + more.length} URI names, and an id is the only one`;
  return `its URI name is not a valid id: ${uri}`;
}

/** True for an id, without a wildcard. */
export function isSpiffeId(text: string): boolean {
  return text.length <= ID_CHARS_MAX && ID.test(text) && !/\/\.{1,2}(?:\/|$)/.test(text);
}

/** True for an id, and for one that ends with `/*`. */
export function isSpiffeRule(text: string): boolean {
  return isSpiffeId(text.endsWith('/*') ? text.slice(0, -2) : text);
}

/** @param allowed An id, or one that ends with `/*` and stands for every id below it. */
export function allowsSpiffeId(allowed: string, id: string): boolean {
  return allowed.endsWith('/*') ? id.startsWith(allowed.slice(0, -1)) : id === allowed;
}

/** Empty where the names cannot be told apart. */
function urisOf(names: string): string[] {
  const uris: string[] = [];
  NAME.lastIndex = 0;
  while (NAME.lastIndex < names.length) {
    const found = NAME.exec(names);
    if (found === null) return [];
    const [, kind, value] = found;
    // A quoted one has a character that no SPIFFE id has.
    if (kind === 'URI') uris.push(value!);
  }
  return uris;
}
