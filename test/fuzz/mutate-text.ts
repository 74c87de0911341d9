/** Changes to texts: lines, words, numbers, and JSON by its structure. What is invalid stays as it is around them. */
import type { Chance } from '../border/chance.ts';
import { NAMES, NUMBERS } from '../border/values.ts';
import { interesting, mutateBytes, type Pool } from './mutate-bytes.ts';

/** Texts that a program may misread, as they stand in a text and in JSON. */
const LETTERS = [
  '"', "'", '\\', '/', ':', ';', ',', '.', '{', '}', '[', ']', '(', ')', '<', '>', '=', '#', '&', '*', '|', '!', '%', '@', '`',
  '$', '-', '+', '~', '?', '_', ' ', '\t', '\n', '\r', '\r\n', '\0', '\u007f', 'é', '€', '漢', '😀', '\u2028', '\ufeff', '\u00a0',
  '\\u0000', '\\ud83d', '\\ude00', '\\ud83d\\ude00', '${', '%00', '%zz', '//', '/*', '*/', '--', '..', '0x', '1e',
]; // prettier-ignore

/** A piece of text for the place of another. */
function piece({ chance, word, other }: Pool): string {
  switch (chance.int(0, 5)) {
    case 0:
      return chance.pick(LETTERS);
    case 1:
      return chance.pick(NUMBERS);
    case 2:
      return chance.pick(NAMES);
    case 3: {
      const words = wordsOf(other().toString('latin1'));
      return words.length === 0 ? '' : chance.pick(words);
    }
    default:
      return Buffer.from(word()).toString('latin1');
  }
}

/** Words, numbers, spaces and single marks; together they are the text. */
function wordsOf(text: string): string[] {
  return text.match(/[A-Za-z_$]+|[0-9]+|[ \t]+|\r?\n|[^]/g) ?? [];
}

/** The parts of a text with one thing done to them: one or a few left out, repeated, exchanged, replaced, put in. */
function rearranged(parts: string[], pool: Pool, fresh: () => string): string[] {
  const { chance } = pool;
  if (parts.length === 0) return [fresh()];
  const at = chance.int(0, parts.length - 1);
  const count = chance.is(0.7) ? 1 : chance.int(1, Math.min(8, parts.length - at));
  switch (chance.int(0, 5)) {
    case 0:
      return parts.toSpliced(at, count);
    case 1:
      return parts.toSpliced(chance.int(0, parts.length), 0, ...parts.slice(at, at + count));
    case 2: {
      const to = chance.int(0, parts.length - 1);
      return parts.with(at, parts[to]!).with(to, parts[at]!);
    }
    case 3:
      return parts.toSpliced(at, 0, fresh());
    case 4: {
      const number = Number(parts[at]);
      const isNumber = Number.isFinite(number) && /\d/.test(parts[at]!);
      return parts.with(at, isNumber ? String(interesting(chance)) : fresh());
    }
    default:
      return parts.with(at, fresh());
  }
}

// Bytes beyond ASCII pass as they are: latin1 is only how they are looked at.

export function mutateWords(input: Buffer, pool: Pool): Buffer {
  const words = wordsOf(input.toString('latin1'));
  return latin(rearranged(words, pool, () => piece(pool)).join(''));
}

/** The fresh pieces may be beyond latin1. */
function latin(text: string): Buffer {
  return Buffer.from(text, /[^\u0000-\u00ff]/.test(text) ? 'utf8' : 'latin1');
}

export function mutateLines(input: Buffer, pool: Pool): Buffer {
  const { chance } = pool;
  const text = input.toString('latin1');
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(end);
  if (chance.is(0.3)) return mutateWords(input, pool);
  if (chance.is(0.2)) {
    // Indentation decides in YAML, and folds in headers.
    const at = chance.int(0, lines.length - 1);
    const line = lines[at]!;
    const made = chance.is(0.5)
      ? `${' '.repeat(chance.int(1, 4))}${line}`
      : line.replace(/^ {1,2}/, '');
    return latin(lines.with(at, made).join(end));
  }
  const fresh = (): string => {
    const others = pool.other().toString('latin1').split(end);
    return chance.is(0.5) ? chance.pick(others) : `${piece(pool)}: ${piece(pool)}`;
  };
  return latin(rearranged(lines, pool, fresh).join(end));
}

export function mutateText(input: Buffer, pool: Pool): Buffer {
  return pool.chance.is(0.7) ? mutateWords(input, pool) : mutateBytes(input, pool);
}

type Span = { readonly start: number; readonly end: number; readonly isKey: boolean };

const JSON_TOKEN = /"(?:\\[^]|[^"\\])*"|[-+.\w]+|[{}[\],:]/g;

/** Where values and keys are. Of a text that is not JSON, those that can be found. */
function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  const open: number[] = [];
  for (const { 0: token, index } of text.matchAll(JSON_TOKEN)) {
    const end = index + token.length;
    if (token === '{' || token === '[') open.push(index);
    else if (token === '}' || token === ']') {
      const start = open.pop();
      if (start !== undefined) spans.push({ start, end, isKey: false });
    } else if (token !== ',' && token !== ':') {
      spans.push({ start: index, end, isKey: /^\s*:/.test(text.slice(end, end + 8)) });
    }
  }
  return spans;
}

/** A JSON value to put in the place of another. */
function jsonValue(pool: Pool): string {
  const { chance } = pool;
  switch (chance.int(0, 8)) {
    case 0:
      return chance.pick(NUMBERS);
    case 1:
      return String(interesting(chance));
    case 2:
      return chance.pick(['true', 'false', 'null', '{}', '[]', '""', '[[]]', '[null]', '{"":0}']);
    case 3:
      return `"${chance.pick(LETTERS).replaceAll(/["\n\r\t\0]/g, '\\"')}"`;
    case 4:
      return chance.pick([
        '"AA=="',
        '"AA"',
        '"e30="',
        '"e30"',
        '"_-8="',
        '"+/8="',
        '"A"',
        '"1s"',
        '"1.5s"',
        '"-1s"',
      ]);
    case 5:
    case 6: {
      const text = pool.other().toString('latin1');
      const spans = spansOf(text);
      if (spans.length === 0) return 'null';
      const { start, end } = chance.pick(spans);
      return text.slice(start, end);
    }
    default:
      return JSON.stringify(Buffer.from(pool.word()).toString());
  }
}

export function mutateJson(input: Buffer, pool: Pool): Buffer {
  const { chance } = pool;
  const text = input.toString('latin1');
  const spans = spansOf(text);
  if (spans.length === 0 || chance.is(0.15)) return mutateText(input, pool);
  const { start, end, isKey } = chance.pick(spans);
  const put = (made: string): Buffer => latin(text.slice(0, start) + made + text.slice(end));
  const it = text.slice(start, end);
  if (isKey) return put(key(it, pool));
  switch (chance.int(0, 7)) {
    case 0:
      return put(`[${it}]`);
    case 1:
      return put(`{${JSON.stringify(name(pool))}:${it}}`);
    case 2:
      // The same once more, as an element, or as a member of the same or another name.
      return put(`${it},${chance.is(0.5) ? it : `${JSON.stringify(name(pool))}:${it}`}`);
    case 3: {
      const head = text.slice(0, start).replace(/(?:,|"(?:\\.|[^"\\])*"\s*:\s*)\s*$/, '');
      return latin(head + text.slice(end).replace(/^\s*,/, ''));
    }
    case 4:
      return put(
        it.startsWith('{')
          ? it.replace(
              '{',
              `{${JSON.stringify(name(pool))}:${jsonValue(pool)}${/^\{\s*\}/.test(it) ? '' : ','}`,
            )
          : jsonValue(pool),
      );
    case 5:
      return put(escaped(it, chance));
    default:
      return put(jsonValue(pool));
  }
}

function name({ chance, word }: Pool): string {
  return chance.is(0.7) ? Buffer.from(word()).toString() : chance.pick(NAMES);
}

/** Another key, or the same one written otherwise. */
function key(it: string, pool: Pool): string {
  return pool.chance.is(0.6) ? JSON.stringify(name(pool)) : escaped(it, pool.chance);
}

/** A text with one of its letters as an escape; white space around anything else. */
function escaped(it: string, chance: Chance): string {
  if (!it.startsWith('"') || it.length < 3) return ` ${it}\t`;
  const at = chance.int(1, it.length - 2);
  if (it[at] === '\\' || it[at - 1] === '\\') return it;
  const code = it.charCodeAt(at).toString(16).padStart(4, '0');
  return `${it.slice(0, at)}\\u${code}${it.slice(at + 1)}`;
}

/** Repeats a value, separated by commas: more elements in a list; in an object the text is no longer JSON. */
export function repeatedValue(input: Buffer, { chance }: Pool, bytes: number): Buffer {
  const text = input.toString('latin1');
  const spans = spansOf(text).filter(({ isKey }) => !isKey);
  if (spans.length === 0) return input;
  const { start, end } = chance.pick(spans);
  const it = text.slice(start, end);
  const all = Array<string>(1 + Math.floor(bytes / (it.length + 1)))
    .fill(it)
    .join(',');
  const isElement = /[[,]\s*$/.test(text.slice(0, start)) || start === 0;
  return latin(text.slice(0, start) + (isElement ? all : `[${all}]`) + text.slice(end));
}
