/** The route table, compiled at load: which rule takes a route. The first match wins. Pure. */
import type { InstanceTemplate, Rule, Target } from './rule.ts';

/** Routes whose target is remembered. Only routes that a rule takes are, so clients cannot fill it with noise. */
const REMEMBERED_MAX = 8_192;

type Pattern = {
  readonly segments: readonly string[];
  readonly open: boolean;
  readonly target: Target;
};

export class RouteTable {
  readonly targets: readonly Target[];
  readonly #patterns: readonly Pattern[];
  #remembered = new Map<string, Target>();

  /** @param backends Names of the configured backends; their order gives the ordinals. */
  constructor(rules: readonly Rule[], backends: readonly string[]) {
    this.targets = rules.map((rule, ordinal) => ({
      ...rule,
      ordinal,
      backendOrdinal: backends.indexOf(rule.backend),
      instance: parseInstance(rule.to),
    }));
    this.#patterns = this.targets.map(compile);
  }

  /** The target of a well-formed route; null: no rule takes it. */
  find(route: string): Target | null {
    const known = this.#remembered.get(route);
    if (known !== undefined) return known;
    const segments = route.split('.');
    for (const pattern of this.#patterns) {
      if (!takes(pattern, segments)) continue;
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered = new Map();
      this.#remembered.set(route, pattern.target);
      return pattern.target;
    }
    return null;
  }
}

function compile(target: Target): Pattern {
  const segments = target.match.split('.');
  const open = segments.at(-1) === '>';
  return { segments: open ? segments.slice(0, -1) : segments, open, target };
}

function takes(pattern: Pattern, route: readonly string[]): boolean {
  const { segments, open } = pattern;
  if (open ? route.length <= segments.length : route.length !== segments.length) return false;
  return segments.every((segment, i) => segment === '*' || segment === route[i]);
}

/** `{data.key}` and `{uid}` stand for the session's; everything else for itself. */
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

/** The instance's name for a session; '' means any: a field is missing or empty. */
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

function fieldOf(data: { readonly [key: string]: unknown }, key: string): string {
  const value = Object.hasOwn(data, key) ? data[key] : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
