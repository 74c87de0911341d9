/**
 * Which method a route calls. A template reaches the listed services and nothing else, since only their methods
 * are looked up; what a route found is remembered.
 */
import { didYouMean } from '../../config/problem.ts';
import { isOwnMethod } from '../../routing/reserved.ts';
import type { Target } from '../../routing/rule.ts';
import type { Method, Schema } from './schema.ts';

/** Routes that are remembered; clients choose them. When there are more they are all forgotten. */
const REMEMBERED_MAX = 4_096;
/** With more methods than this, no similar name is suggested. */
const COMPARED_MAX = 1_000;

export class Methods {
  #schema: Schema | null = null;
  /** By rule, then by route. */
  readonly #found = new Map<Target, Map<string, Method>>();
  #size = 0;

  /** null: there is none. */
  find(schema: Schema, target: Target, route: string): Method | null {
    if (schema !== this.#schema || this.#size >= REMEMBERED_MAX) this.#forget(schema);
    const known = this.#found.get(target)?.get(route);
    if (known !== undefined) return known;
    for (const path of pathsOf(target.method, route)) {
      const method = schema.methods.get(path);
      if (method === undefined || isOwnMethod(path)) continue;
      this.#remember(target, route, method);
      return method;
    }
    return null;
  }

  #forget(schema: Schema): void {
    this.#schema = schema;
    this.#found.clear();
    this.#size = 0;
  }

  #remember(target: Target, route: string, method: Method): void {
    const ofRule = this.#found.get(target) ?? new Map<string, Method>();
    ofRule.set(route, method);
    this.#found.set(target, ofRule);
    this.#size++;
  }
}

/** A client has one message to send: no stream. */
export function isCallable({ kind }: Method): boolean {
  return kind === 'unary' || kind === 'server_streaming';
}

/** Why a route calls nothing, for the log. */
export function noMethod(schema: Schema, template: string, route: string): string {
  const tried = pathsOf(template, route);
  const known = [...schema.methods.keys()];
  const near = known.length > COMPARED_MAX ? '' : didYouMean(tried.at(-1)!, known);
  return `no method ${tried.join(' or ')} in the listed services${near}`;
}

/**
 * What a template and a route make: first the words as they are, then as methods and services are written
 * (`join_room` or `joinRoom` is `JoinRoom`).
 */
export function pathsOf(template: string, route: string): string[] {
  const exact = fill(template, route, Infinity);
  const path = exact.startsWith('/') ? exact : `/${exact}`;
  // Packages stay as they are: what is behind the last dot of the service is its own name.
  const slash = template.lastIndexOf('/');
  const named = fill(template, route, template.lastIndexOf('.', slash) + 1);
  const camel = named.startsWith('/') ? named : `/${named}`;
  return camel === path ? [path] : [path, camel];
}

/** server: the first segment · method: the last · handler: what is between. From `camelFrom` on in UpperCamel. */
function fill(template: string, route: string, camelFrom: number): string {
  const segments = route.split('.');
  return template.replace(/\{(server|handler|method)\}/g, (_, part: string, at: number) => {
    const text =
      part === 'server'
        ? segments[0]!
        : part === 'method'
          ? segments.at(-1)!
          : segments.slice(1, -1).join('.');
    return at < camelFrom ? text : upperCamel(text);
  });
}

function upperCamel(text: string): string {
  return text.replace(/(?:^|[_-]+|(\.))(.?)/g, (_, dot: string | undefined, letter: string) => {
    return (dot ?? '') + letter.toUpperCase();
  });
}
