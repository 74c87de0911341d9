/** Where on its backend a route is posted to. Pure. */
import { isOwnPath } from '../../routing/reserved.ts';

const LIKE_OWN = /closed|connect|lost|%/i;

/** What a template may name of a route. */
type Part = 'server' | 'handler' | 'method';

/** Text and parts of the route in turn; the first and the last are text. */
type Template = readonly { readonly before: string; readonly part: Part | null }[];

export class Paths {
  /** Of the backend's URL, without a slash at its end. */
  readonly #base: string;
  /** By their text: as many as there are in the configuration. */
  readonly #templates = new Map<string, Template>();

  /** @param base Path of the backend's URL. */
  constructor(base: string) {
    this.#base = base.replace(/\/+$/, '');
  }

  /** A path of our own, as `/pith/closed`. */
  own(path: string): string {
    return this.#base + path;
  }

  /** True for a path of our own, however it is written: no client's message goes there. */
  isOwn(path: string): boolean {
    // Nearly every other path has nothing of them in it.
    return LIKE_OWN.test(path) && isOwnPath(path, this.#base);
  }

  /**
   * The path of a route: its rule's template, or the route with `/` for `.`. A route has nothing in it that would
   * need escaping, nor empty segments. `template`: '' for none.
   */
  of(route: string, template: string): string {
    if (template === '') return `${this.#base}/${route.replaceAll('.', '/')}`;
    let compiled = this.#templates.get(template);
    if (compiled === undefined) {
      compiled = compile(template);
      this.#templates.set(template, compiled);
    }
    return this.#base + fill(compiled, route);
  }
}

function compile(template: string): Template {
  const parts: { before: string; part: Part | null }[] = [];
  let at = 0;
  for (const match of template.matchAll(/\{(server|handler|method)\}/g)) {
    parts.push({ before: escaped(template.slice(at, match.index)), part: match[1] as Part });
    at = match.index + match[0].length;
  }
  parts.push({ before: escaped(template.slice(at)), part: null });
  return parts;
}

/** As it may stand in a request's first line. What is escaped already stays so. */
function escaped(text: string): string {
  return encodeURI(text.toWellFormed()).replaceAll('%25', '%').replaceAll('#', '%23');
}

function fill(template: Template, route: string): string {
  let path = '';
  for (const { before, part } of template) {
    // A route of two segments has no handler: what would stand around it is one slash.
    path += path.endsWith('/') && before.startsWith('/') ? before.slice(1) : before;
    if (part !== null) path += partOf(route, part);
  }
  return path;
}

/** server: the first segment · method: the last · handler: what is between, with `/` for `.`; may be empty. */
function partOf(route: string, part: Part): string {
  const first = route.indexOf('.');
  const last = route.lastIndexOf('.');
  switch (part) {
    case 'server':
      return first < 0 ? route : route.slice(0, first);
    case 'method':
      return route.slice(last + 1);
    case 'handler':
      return first < last ? route.slice(first + 1, last).replaceAll('.', '/') : '';
  }
}
