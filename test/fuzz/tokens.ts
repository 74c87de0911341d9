/** The words of a target: what its sources compare inputs with. */
import { readFileSync } from 'node:fs';

import type { Chance } from '../border/chance.ts';
import { varint } from './mutate-bytes.ts';

const TEXT_MAX = 40;
const TOKENS_MAX = 2_000;

/** Part of the words that are the target's own, if it has any: those are the likeliest to lead on. */
const OWN_PART = 0.4;

/** Picks one of the words of a target, and of the texts and numbers in these sources. */
export function wordsOf(
  files: readonly string[],
  own: readonly (string | Uint8Array)[],
  chance: Chance,
): () => Uint8Array {
  const words = tokensOf(files);
  const ownWords = own.map((word) => Buffer.from(word));
  return () => chance.pick(ownWords.length > 0 && chance.is(OWN_PART) ? ownWords : words);
}

/** Numbers as digits, and in the ways that they may stand in bytes. */
function tokensOf(files: readonly string[]): Uint8Array[] {
  const texts = new Set<string>();
  const numbers = new Set<number>();
  for (const file of files) {
    const source = withoutComments(readFileSync(file, 'utf8'));
    for (const [, text] of source.matchAll(/['"`]((?:\\.|[^'"`\\\n]){1,40})['"`]/g)) {
      for (const part of text!.split(/\$\{[^}]*\}/)) if (isWord(part)) texts.add(unescaped(part));
    }
    // Names of members that are read, such as `fields.expires_ms`, and of regular expressions the plain words.
    for (const [, name] of source.matchAll(/[.{,]\s*([a-z]\w{1,30})\b/g)) texts.add(name!);
    for (const [digits] of source.matchAll(/\b(?:0x[0-9a-f_]+|\d[\d_]*)\b/gi)) {
      numbers.add(Number(digits.replaceAll('_', '')));
    }
  }
  const made = new Map<string, Uint8Array>();
  const put = (bytes: Uint8Array): void => {
    if (bytes.length > 0 && made.size < TOKENS_MAX)
      made.set(Buffer.from(bytes).toString('latin1'), bytes);
  };
  for (const text of texts) put(Buffer.from(text));
  for (const number of numbers) for (const bytes of formsOf(number)) put(bytes);
  if (made.size === 0) put(Buffer.from('a'));
  return [...made.values()];
}

/** Sentences are for people: no input has to hold them. */
function isWord(text: string): boolean {
  return text.length > 0 && text.length <= TEXT_MAX && text.split(' ').length <= 3;
}

function formsOf(number: number): Buffer[] {
  if (!Number.isSafeInteger(number)) return [];
  const forms = [Buffer.from(String(number)), varint(number)];
  if (number <= 0xff) forms.push(Buffer.from([number]));
  else if (number <= 0xffff) forms.push(Buffer.from([number >> 8, number & 0xff]));
  return forms;
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

function unescaped(text: string): string {
  return text.replaceAll(
    /\\(?:u([0-9a-f]{4})|x([0-9a-f]{2})|([^]))/g,
    (_all, u, x, one: string) => {
      if (u !== undefined || x !== undefined)
        return String.fromCharCode(Number.parseInt((u ?? x) as string, 16));
      return { n: '\n', r: '\r', t: '\t', 0: '\0' }[one] ?? one;
    },
  );
}
