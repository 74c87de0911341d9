/**
 * Names under which the gateway itself speaks to backends: `pith.connect` and `pith.closed` on a Unix socket, the
 * paths of the same names over HTTP, the services of `pith.v1` over gRPC. What no client may say, no rule, rename or
 * template can make of a client's message. Pure.
 */

/** The first segment of routes that are the gateway's own. */
const OWN = 'pith';
const OWN_PATHS: ReadonlySet<string> = new Set(['connect', 'closed']);
/** How often a path is unescaped: servers behind proxies do it more than once. */
const UNESCAPES_MAX = 4;

/** True for `pith` and `pith.…`: also of a route that a rule renames. */
export function isReserved(route: string): boolean {
  return route.startsWith(OWN) && (route.length === OWN.length || route[OWN.length] === '.');
}

/** True for a method of a service that is ours, as `/pith.v1.Backend/Closed`. */
export function isOwnMethod(path: string): boolean {
  return /^\/?pith\./.test(path);
}

/**
 * True when a server may take `path` for `/pith/connect` or `/pith/closed` under `base`: escaped or not, in any case,
 * with empty and dotted segments, parameters and a query. A path that leaves `base` by dots is ours under any other.
 */
export function isOwnPath(path: string, base: string): boolean {
  const segments = segmentsOf(path);
  const isOwn = segments.at(-2) === OWN && OWN_PATHS.has(segments.at(-1)!);
  const above = segmentsOf(base);
  const isBelow = above.every((segment, i) => segments[i] === segment);
  return isOwn && (!isBelow || segments.length === above.length + 2);
}

function segmentsOf(path: string): string[] {
  const segments: string[] = [];
  for (const raw of unescaped(path.replace(/[?#].*$/s, '')).split(/[/\\]/)) {
    // `;` begins parameters of a segment, and dots or spaces at its end mean nothing to some servers.
    const segment = raw.replace(/;.*$/s, '').toLowerCase();
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment.replace(/[\s.]+$/, ''));
  }
  return segments;
}

/** All that is escaped of ASCII. */
function unescaped(path: string): string {
  let text = path;
  for (let i = 0; i < UNESCAPES_MAX && text.includes('%'); i++) {
    text = text.replace(/%([0-7][0-9a-f])/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
  return text;
}
