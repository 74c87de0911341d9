/** The words of a .proto file, with their places. [protobuf.dev/reference/protobuf/proto3-spec, "Lexical elements"] */

/** A .proto file that cannot be read: `file:line:column: what is wrong`. */
export class ProtoError extends Error {}

export type Token = {
  readonly kind: 'word' | 'number' | 'string' | 'mark' | 'end';
  /** Of a string: its value as far as its escapes are plain; names of files and options need no more. */
  readonly text: string;
  readonly line: number;
  readonly column: number;
};

const SPACE = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?/y;
const STRING = /"((?:[^"\\\n]|\\[^\n])*)"|'((?:[^'\\\n]|\\[^\n])*)'/y;
const MARKS = new Set('{}[]()<>=;:,.-+/');

/** Reads the tokens of one file one after another. */
export class Tokens {
  readonly #file: string;
  readonly #source: string;
  #at = 0;
  /** Where the line of `#at` begins, and its number. */
  #lineStart = 0;
  #line = 1;
  #next: Token;

  constructor(file: string, source: string) {
    this.#file = file;
    this.#source = source.replace(/^\ufeff/, '');
    this.#next = this.#read();
  }

  /** The token that `take` gives next. */
  get next(): Token {
    return this.#next;
  }

  take(): Token {
    const token = this.#next;
    if (token.kind !== 'end') this.#next = this.#read();
    return token;
  }

  /** Takes the next token if it is this word or mark. */
  skip(text: string): boolean {
    if (!this.is(text)) return false;
    this.take();
    return true;
  }

  is(text: string): boolean {
    const { kind } = this.#next;
    return (kind === 'word' || kind === 'mark') && this.#next.text === text;
  }

  /** Takes a word or mark that must be there. */
  expect(text: string): void {
    if (!this.skip(text)) throw this.unexpected(`"${text}"`);
  }

  name(what: string): string {
    if (this.#next.kind !== 'word') throw this.unexpected(what);
    return this.take().text;
  }

  /** One string, or several side by side, which are one. */
  string(what: string): string {
    if (this.#next.kind !== 'string') throw this.unexpected(what);
    let text = '';
    while (this.#next.kind === 'string') text += this.take().text;
    return text;
  }

  /** A whole number, with a sign, in a range. */
  integer(what: string, [min, max]: readonly [number, number]): number {
    const first = this.#next;
    const sign = this.skip('-') ? -1 : 1;
    const value = this.#next.kind === 'number' ? sign * wholeNumber(this.#next.text) : Number.NaN;
    if (!Number.isSafeInteger(value)) throw this.unexpected(what);
    if (value < min || value > max) throw this.error(`${what} is ${min} to ${max}`, first);
    this.take();
    return value;
  }

  unexpected(expected: string): ProtoError {
    const { kind, text } = this.#next;
    return this.error(`expected ${expected}, got ${kind === 'end' ? 'the end' : `"${text}"`}`);
  }

  /** An error at the next token, or at `token`. */
  error(what: string, token = this.#next): ProtoError {
    return new ProtoError(`${this.#file}:${token.line}:${token.column}: ${what}`);
  }

  #read(): Token {
    this.#match(SPACE);
    const place = { line: this.#line, column: this.#at - this.#lineStart + 1 };
    if (this.#at >= this.#source.length) return { kind: 'end', text: '', ...place };
    const word = this.#match(WORD);
    if (word !== null) return { kind: 'word', text: word[0], ...place };
    const char = this.#source[this.#at]!;
    // A dot with a digit behind it begins a number; names have none there.
    if (/[0-9]/.test(char) || (char === '.' && /[0-9]/.test(this.#source[this.#at + 1] ?? ''))) {
      return { kind: 'number', text: this.#match(NUMBER)![0], ...place };
    }
    const string = this.#match(STRING);
    if (string !== null)
      return { kind: 'string', text: plain(string[1] ?? string[2] ?? ''), ...place };
    const token: Token = { kind: 'mark', text: char, ...place };
    if (!MARKS.has(char)) {
      const what = char === '"' || char === "'" ? 'a string that does not end' : `"${char}"`;
      throw this.error(`${what} does not belong here`, token);
    }
    this.#at++;
    return token;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found === null) return null;
    if (pattern === SPACE) this.#countLines(found[0]);
    this.#at = pattern.lastIndex;
    return found;
  }

  #countLines(space: string): void {
    for (let i = space.indexOf('\n'); i >= 0; i = space.indexOf('\n', i + 1)) {
      this.#line++;
      this.#lineStart = this.#at + i + 1;
    }
  }
}

function plain(text: string): string {
  return text.replace(/\\(["'\\?])/g, '$1');
}

function wholeNumber(text: string): number {
  if (/^0[xX]/.test(text)) return Number(text);
  if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9][0-9]*$/.test(text) ? Number(text) : Number.NaN;
}
