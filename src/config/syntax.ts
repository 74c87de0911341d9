/**
 * The small languages inside strings: route patterns, templates, NATS tokens, header names. Every check answers
 * with what is wrong, or with nothing.
 */

const SEGMENT_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;
const ROUTE_BYTES_MAX = 127;

/** Checks `match`: segments joined by dots, `*` for any one, `>` as the last for one or more. */
export function checkPattern(text: string): string | undefined {
  if (text === '') return 'expected a route or a pattern, as chat.> or *.entryHandler.enter';
  if (text.length > ROUTE_BYTES_MAX) return `a route has at most ${ROUTE_BYTES_MAX} bytes`;
  const segments = text.split('.');
  for (const [index, segment] of segments.entries()) {
    if (segment === '*' || SEGMENT_PATTERN.test(segment)) continue;
    if (segment === '>') {
      if (index === segments.length - 1) continue;
      return '">" may only be at the end; "*" is one segment';
    }
    if (segment === '') return 'a segment is empty; segments are joined by single dots';
    return `bad segment "${segment}"; a segment is 1 to 64 of A-Z a-z 0-9 _ -, or * or >`;
  }
  return undefined;
}

/** Checks one route as a client writes it: 1 to 127 bytes of segments joined by dots. */
export function checkRoute(text: string): string | undefined {
  if (/[*>]/.test(text)) return 'expected one route, without * and >';
  return checkPattern(text);
}

/**
 * True if everything that `narrow` matches is matched by `wide` too, so a rule with `narrow` behind one
 * with `wide` is never reached. Both are valid patterns.
 */
export function covers(wide: string, narrow: string): boolean {
  const wideSegments = wide.split('.');
  const narrowSegments = narrow.split('.');
  for (const [index, segment] of wideSegments.entries()) {
    const other = narrowSegments[index];
    if (other === undefined) return false;
    if (segment === '>') return true;
    if (other === '>') return false;
    if (segment !== '*' && segment !== other) return false;
  }
  return narrowSegments.length === wideSegments.length;
}

/** True if there is a route that both match. Both are valid patterns. */
export function overlap(left: string, right: string): boolean {
  const [one, other] = [left.split('.'), right.split('.')];
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const [a, b] = [one[i], other[i]];
    if (a === undefined || b === undefined) return false;
    if (a === '>' || b === '>') return true;
    if (a !== '*' && b !== '*' && a !== b) return false;
  }
  return true;
}

/** Checks `to`: plain text in which `{uid}` and `{data.<key>}` stand for what the session holds. */
export function checkInstanceTemplate(text: string): string | undefined {
  return checkTemplate(text, /^(uid|data\..+)$/, '{uid} or {data.<key>}');
}

/** Checks `method` and `path`: plain text with `{server}`, `{handler}` and `{method}` of the route. */
export function checkRouteTemplate(text: string): string | undefined {
  return checkTemplate(text, /^(server|handler|method)$/, '{server}, {handler} or {method}');
}

/** Checks `rename`: a route in which {server}, {handler} and {method} may stand for the client's. */
export function checkRename(text: string): string | undefined {
  return checkRouteTemplate(text) ?? checkRoute(text.replace(/\{(server|handler|method)\}/g, 'x'));
}

/** Checks a NATS subject prefix: tokens of A-Z a-z 0-9 _ - joined by dots, at most 64 bytes. */
export function checkSubjectPrefix(text: string): string | undefined {
  if (text.length <= 64 && /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(text)) return undefined;
  return 'expected tokens of A-Z a-z 0-9 _ - joined by dots, at most 64 bytes, as pith or game.eu';
}

/** Checks a header that goes with every call: its name is a token, and not one that we set ourselves. */
export function checkHeader(name: string, value: string): string | undefined {
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) return 'not a header name';
  if (/^(x-)?pith-|^grpc-|^(te|content-type|content-length|host|connection)$/i.test(name)) {
    return 'this header is set by the gateway';
  }
  return /^[\x20-\x7e]*$/.test(value) ? undefined : 'expected printable ASCII';
}

/** Checks metadata of a gRPC backend: as a header, with a lower-case name. */
export function checkMetadata(name: string, value: string): string | undefined {
  if (!/^[0-9a-z_.-]+$/.test(name)) return 'a metadata name is made of 0-9 a-z _ . -';
  if (name.endsWith('-bin')) return 'binary metadata (-bin) cannot be configured';
  return checkHeader(name, value);
}

function checkTemplate(text: string, known: RegExp, expected: string): string | undefined {
  const rest = text.replace(/\{[^{}]*\}/g, '');
  if (/[{}]/.test(rest)) return `a brace without its pair; write ${expected}`;
  for (const [, name = ''] of text.matchAll(/\{([^{}]*)\}/g)) {
    if (!known.test(name)) return `unknown {${name}}; write ${expected}`;
  }
  // Control characters would end up in a subject, a method or a log line.
  return /[\x00-\x1f\x7f]/.test(rest) ? 'control characters are not allowed' : undefined;
}

/** A label of a generation: 1 to 63 characters, and maybe the name of the fleet and a slash before it. */
export function isGeneration(text: string): boolean {
  return GENERATION.test(text);
}

const GENERATION = /^([A-Za-z0-9._-]{1,63}\/)?[A-Za-z0-9._-]{1,63}$/;
