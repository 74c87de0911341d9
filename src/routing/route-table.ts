/** The route table, compiled at load: which rule matches a route. The first match wins. Pure. */
import { type Failure, failure } from '../errors.ts';
import { isRawNumber, plainText } from '../protocol/exact-json.ts';
import { isReserved } from './reserved.ts';
import { isRoute, namesConstructor, RENAMED_BYTES_MAX } from './route.ts';
import type { InstanceTemplate, Rule, Target } from './rule.ts';

/** Routes whose target is cached. Only routes that match a rule are, so clients cannot fill the cache with noise. */
const REMEMBERED_MAX = 8_192;

const NO_RULE: Failure = { ...failure('NO_ROUTE'), detail: 'no rule in routes matches it' };
/** For routes that begin with pith. */
export const RESERVED: Failure = {
  ...failure('NO_ROUTE'),
  detail: 'routes that begin with pith are reserved for the gateway',
};
const RENAMED_TO_NONE: Failure = {
  ...failure('NO_ROUTE'),
  detail: 'the rename of its rule gives an invalid route',
};

type Pattern = { readonly segments: readonly string[]; readonly open: boolean };

export class RouteTable {
  readonly targets: readonly Target[];
  readonly #patterns: readonly (Pattern & { readonly target: Target })[];
  readonly #routeBytesMax: number;
  #remembered = new Map<string, Target>();

  /**
   * @param backends Names of the configured backends; their order gives the ordinals.
   * @param routeBytesMax Of a client's route: `limits.route`.
   */
  constructor(rules: readonly Rule[], backends: readonly string[], routeBytesMax = 127) {
    this.#routeBytesMax = routeBytesMax;
    this.targets = rules.map((rule, ordinal) => makeTarget(rule, ordinal, backends));
    this.#patterns = this.targets.map((target) => ({ ...parsePattern(target.match), target }));
  }

  /** Where a client's route goes, or why it goes nowhere. */
  resolve(route: string): Target | Failure {
    // What is cached was checked when it came first.
    return this.#remembered.get(route) ?? this.#resolveNew(route);
  }

  #resolveNew(route: string): Target | Failure {
    if (!isRoute(route, this.#routeBytesMax) || namesConstructor(route))
      return failure('BAD_ROUTE');
    if (isReserved(route)) return RESERVED;
    const target = this.find(route);
    if (target === null) return NO_RULE;
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered = new Map();
    this.#remembered.set(route, target);
    return target;
  }

  /** The target of a well-formed route; null: no rule matches it. */
  find(route: string): Target | null {
    const segments = route.split('.');
    return this.#patterns.find((pattern) => matches(pattern, segments))?.target ?? null;
  }
}

function makeTarget(rule: Rule, ordinal: number, backends: readonly string[]): Target {
  const one = (backend: string): Target => ({
    ...rule,
    backend,
    ordinal,
    backendOrdinal: backends.indexOf(backend),
    instance: parseInstance(rule.to),
    group: parseInstance(rule.join),
    choices: null,
  });
  const { split } = rule;
  if (split === null) return one(rule.backend);
  let end = 0;
  const choices = split.shares.map(({ backend, weight }) => {
    end += weight;
    return { target: one(backend), end };
  });
  return { ...one(split.shares[0]!.backend), choices };
}

function parsePattern(match: string): Pattern {
  const segments = match.split('.');
  const open = segments.at(-1) === '>';
  return { segments: open ? segments.slice(0, -1) : segments, open };
}

/** True if the pattern of a rule matches the route. */
export function patternMatches(match: string, route: string): boolean {
  return matches(parsePattern(match), route.split('.'));
}

function matches(pattern: Pattern, route: readonly string[]): boolean {
  const { segments, open } = pattern;
  if (open ? route.length <= segments.length : route.length !== segments.length) return false;
  return segments.every((segment, i) => segment === '*' || segment === route[i]);
}

/** `{data.key}` and `{uid}` are replaced with the session's values; the rest is literal. */
function parseInstance(to: string): InstanceTemplate | null {
  if (to === '') return null;
  const parts: (string | { field: string })[] = [];
  let at = 0;
  for (const match of to.matchAll(/\{([^{}]*)\}/g)) {
    if (match.index > at) parts.push(to.slice(at, match.index));
    parts.push({ field: match[1]! });
    at = match.index + match[0].length;
  }
  if (at < to.length) parts.push(to.slice(at));
  return parts;
}

/** The name of an instance or a group for a session; '': any or none, because a field is missing or empty. */
export function instanceFor(
  template: InstanceTemplate,
  session: { readonly uid: string; readonly data: { readonly [key: string]: unknown } },
): string {
  let name = '';
  for (const part of template) {
    if (typeof part === 'string') {
      name += part;
      continue;
    }
    const value =
      part.field === 'uid' ? session.uid : fieldOf(session.data, part.field.replace(/^data\./, ''));
    if (value === '') return '';
    name += value;
  }
  return name;
}

/** The facts of a session that routing may use. */
export type RoutingFacts = {
  readonly sid: string;
  readonly uid: string;
  readonly data: { readonly [key: string]: unknown };
};

/** The target for a session where a rule has several backends: the same for the same key, on every gateway. */
export function chosen(target: Target, session: RoutingFacts): Target {
  const { choices, split } = target;
  if (choices === null) return target;
  const point = hash(keyOf(split!.by, session)) % choices.at(-1)!.end;
  return choices.find(({ end }) => point < end)!.target;
}

function keyOf(by: string, session: RoutingFacts): string {
  const key =
    by === 'uid'
      ? session.uid
      : by === 'sid'
        ? ''
        : fieldOf(session.data, by.replace(/^data\./, ''));
  return key || session.sid;
}

/** FNV-1a with the final mixing of Murmur3, so that similar keys spread well. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The route that the backend sees: {server} is the first segment, {method} the last, {handler} what is in between;
 * an empty part is dropped together with its dot.
 */
export function renamed(template: string, route: string): string {
  const first = route.indexOf('.');
  const last = route.lastIndexOf('.');
  const parts: Record<string, string> = {
    server: first < 0 ? route : route.slice(0, first),
    handler: last > first ? route.slice(first + 1, last) : '',
    method: route.slice(last + 1),
  };
  return template
    .replace(/\{(server|handler|method)\}/g, (_all, name: string) => parts[name]!)
    .replace(/\.{2,}/g, '.')
    .replace(/^\.|\.$/g, '');
}

/** The same as the backend may be sent it, or why it is sent nothing. */
export function renamedOr(template: string, route: string): string | Failure {
  const name = renamed(template, route);
  if (isReserved(name)) return RESERVED;
  return isRoute(name, RENAMED_BYTES_MAX) ? name : RENAMED_TO_NONE;
}

function fieldOf(data: { readonly [key: string]: unknown }, key: string): string {
  const value = Object.hasOwn(data, key) ? data[key] : undefined;
  if (isRawNumber(value)) return plainText(value);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
