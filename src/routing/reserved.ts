/**
 * Names that the gateway itself uses towards backends: `pith.connect`, `pith.closed` and `pith.lost` on a Unix socket, the paths of
 * the same names over HTTP, the services of `pith.v1` over gRPC. Clients may not use them, and no rule, rename or
 * template can turn a client's message into one. Pure.
 */

/** The first segment of reserved routes. */
const OWN = 'pith';
const OWN_PATHS: ReadonlySet<string> = new Set(['connect', 'closed', 'lost']);
/** A client's request with a newer token, where `auth.mode` is `jwt`. */
export const REFRESH_ROUTE = 'pith.refresh';
/** How many times a path is unescaped: servers behind proxies do it more than once. */
const UNESCAPES_MAX = 4;

/** True for `pith` and `pith.…`; to be asked after a rename as well. */
export function isReserved(route: string): boolean {
  return route.startsWith(OWN) && (route.length === OWN.length || route[OWN.length] === '.');
}

/** True for a method of the gateway's own services, such as `/pith.v1.Backend/Closed`. */
export function isOwnMethod(path: string): boolean {
  return /^\/?pith\./.test(path);
}

/**
 * True if a server might read `path` as `/pith/connect`, `/pith/closed` or `/pith/lost` under `base`: escaped or not, in upper or lower
 * case, with empty and dotted segments, parameters and a query. For a path that leaves `base` by dots, under any base.
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
    // `;` begins a segment's parameters, and some servers ignore dots or spaces at its end.
    const segment = raw.replace(/;.*$/s, '').toLowerCase();
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment.replace(/[\s.]+$/, ''));
  }
  return segments;
}

/** Unescapes ASCII characters. */
function unescaped(path: string): string {
  let text = path;
  for (let i = 0; i < UNESCAPES_MAX && text.includes('%'); i++) {
    text = text.replace(/%([0-7][0-9a-f])/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
  return text;
}
