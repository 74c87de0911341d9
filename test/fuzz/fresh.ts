/** Generators that targets share. fast-check's own strings of all characters take seconds to set up. */
import fc from 'fast-check';

const LETTERS = [
  'a',
  'b',
  'Z',
  '0',
  '9',
  ' ',
  '.',
  '-',
  '_',
  '/',
  '"',
  '\\',
  '\n',
  '\0',
  '\u007f',
  'é',
  '€',
  '漢',
  '😀',
  '\ud83d',
  '\u2028',
];

/** Any text of up to so many characters, half of one included. */
export function anyText(lengthMax = 20): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom(...LETTERS), { maxLength: lengthMax })
    .map((letters) => letters.join(''));
}

/** A word as names and routes are made of. */
export function word(lengthMax = 8): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom(...Array.from('abcxyzABC019_-')), { minLength: 1, maxLength: lengthMax })
    .map((letters) => letters.join(''));
}

/** JSON text with any numbers and names. */
export function anyJson(): fc.Arbitrary<string> {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('null', 'true', 'false', '0', '-0', '1.0', '1e400', '9007199254740993', '""'),
      fc.integer().map(String),
      fc.double().map((number) => JSON.stringify(number)),
      anyText(8).map((text) => JSON.stringify(text)),
      fc.array(tie('value'), { maxLength: 4 }).map((list) => `[${list.join(',')}]`),
      fc
        .array(fc.tuple(fc.oneof(word(), anyText(4)), tie('value')), { maxLength: 4 })
        .map(
          (list) =>
            `{${list.map(([name, inner]) => `${JSON.stringify(name)}:${inner as string}`).join(',')}}`,
        ),
    ),
  }));
  return value as fc.Arbitrary<string>;
}
