/**
 * `JSON.parse` for text from outside.
 *
 * V8 13.6, of Node 24, mistakes keys: once a process has parsed an object with a backslash in a key, `{"\\":1}`, it reads
 * the key of `{"\n":1}` as that backslash too, whoever sent it, and after `{"\\u":1}` any two characters written as
 * escapes. So such an object is never given to it: it is read here. Pure.
 */

/** Where a backslash within a text may come from. */
const BACKSLASH = /\\(?:\\|u005c)/i;
/** What a string may not hold as it is. */
const SPECIAL = /[\\\u0000-\u001f]/;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

type Revive = (key: string, value: unknown, context: { source?: string }) => unknown;

/**
 * @param revive As for `JSON.parse`, for numbers alone.
 * @throws {SyntaxError} Not JSON; or nested too deeply to be read here.
 */
export function parseJsonText(text: string, revive?: Revive): unknown {
  if (BACKSLASH.test(text) && hasBackslashInKey(text)) return parsedHere(text, revive);
  return revive === undefined
    ? (JSON.parse(text) as unknown)
    : JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

function parsedHere(text: string, revive: Revive | undefined): unknown {
  try {
    return new Parser(text, revive).whole();
  } catch (error) {
    if (error instanceof RangeError) throw new SyntaxError('nested too deeply', { cause: error });
    throw error;
  }
}

/** Of text that is not JSON it may be either: then it is an error here or there. */
function hasBackslashInKey(text: string): boolean {
  for (let start = text.indexOf('"'); start >= 0;) {
    const end = endOfString(text, start);
    const isKey = text[afterSpace(text, end)] === ':';
    if (isKey && BACKSLASH.test(text.slice(start, end))) return true;
    start = text.indexOf('"', end);
  }
  return false;
}

function afterSpace(text: string, start: number): number {
  let at = start;
  for (;;) {
    const unit = text.charCodeAt(at);
    if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return at;
    at++;
  }
}

/** Behind the closing quote; the end of the text if there is none. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (text[before - 1] === '\\') before--;
    if ((at - before) % 2 === 0) return at + 1;
  }
  return text.length;
}

class Parser {
  readonly #text: string;
  readonly #revive: Revive | undefined;
  #at = 0;

  constructor(text: string, revive: Revive | undefined) {
    this.#text = text;
    this.#revive = revive;
  }

  whole(): unknown {
    const value = this.#value('');
    if (this.#next() !== undefined) throw this.#unexpected();
    return value;
  }

  /** The first character behind white space; undefined: the end. */
  #next(): string | undefined {
    this.#at = afterSpace(this.#text, this.#at);
    return this.#text[this.#at];
  }

  #value(key: string): unknown {
    const first = this.#next();
    if (first === '"') return this.#string();
    if (first === '{') return this.#object();
    if (first === '[') return this.#list();
    NUMBER.lastIndex = this.#at;
    const source = NUMBER.exec(this.#text)?.[0];
    if (source !== undefined) {
      this.#at = NUMBER.lastIndex;
      const number = Number(source);
      return this.#revive === undefined ? number : this.#revive(key, number, { source });
    }
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    throw this.#unexpected();
  }

  /** A text alone is not mistaken. */
  #string(): string {
    const start = this.#at;
    this.#at = endOfString(this.#text, start);
    const token = this.#text.slice(start, this.#at);
    const isPlain = token.length > 1 && token.endsWith('"') && !SPECIAL.test(token);
    return isPlain ? token.slice(1, -1) : (JSON.parse(token) as string);
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#at++;
    if (this.#skip('}')) return object;
    do {
      if (this.#next() !== '"') throw this.#unexpected();
      const key = this.#string();
      if (!this.#skip(':')) throw this.#unexpected();
      const value = this.#value(key);
      if (key === '__proto__') own(object, key, value);
      else object[key] = value;
    } while (this.#skip(','));
    if (!this.#skip('}')) throw this.#unexpected();
    return object;
  }

  #list(): unknown[] {
    const list: unknown[] = [];
    this.#at++;
    if (this.#skip(']')) return list;
    do list.push(this.#value(String(list.length)));
    while (this.#skip(','));
    if (!this.#skip(']')) throw this.#unexpected();
    return list;
  }

  #skip(mark: string): boolean {
    if (this.#next() !== mark) return false;
    this.#at++;
    return true;
  }

  /** As V8 says it. */
  #unexpected(): SyntaxError {
    const what = this.#text[this.#at];
    return new SyntaxError(
      what === undefined
        ? 'Unexpected end of JSON input'
        : `Unexpected token ${JSON.stringify(what)} in JSON at position ${this.#at}`,
    );
  }
}

/** By assignment it would be the object's prototype. */
function own(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
