/** Parses the options and positional arguments of a command line, with error messages of our own. */
import { parseArgs } from 'node:util';

import { didYouMean } from '../config/problem.ts';

/** A mistake in a command line; the message says what to write instead. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export type OptionRule = {
  /** What the value is called in messages; absent: the option takes none. */
  readonly value?: string;
  readonly short?: string;
  readonly many?: true;
  /** The only values; absent: any. */
  readonly choices?: readonly string[];
  /** What a shell completes the value with. */
  readonly completes?: 'file';
};

/** Options by their long name. */
export type OptionRules = Readonly<Record<string, OptionRule>>;

/** Every command has these. */
export const HELP_OPTION: OptionRules = { help: { short: 'h' } };

export class Options {
  /** Positional arguments, in order. */
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  get wantsHelp(): boolean {
    return this.has('help');
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** undefined: not given. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

/**
 * Parses `args`. Mistakes are ignored if help is requested.
 *
 * @throws {UsageError} For the first mistake.
 */
export function readOptions(args: readonly string[], own: OptionRules): Options {
  const rules = { ...own, ...HELP_OPTION };
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(rules).map(([name, { value, short }]) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', ...(short !== undefined && { short }) },
      ]),
    ),
  });
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  let wrong: UsageError | null = null;
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, value = '' } = token;
    wrong ??= faultOf(token, rules, values.has(name));
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  if (wrong !== null && !values.has('help')) throw wrong;
  return new Options(values, positionals);
}

type OptionToken = {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
};

function faultOf(token: OptionToken, rules: OptionRules, isRepeated: boolean): UsageError | null {
  const { name, rawName, value, inlineValue } = token;
  const rule = Object.hasOwn(rules, name) ? rules[name]! : null;
  if (rule === null) {
    const near = didYouMean(
      rawName,
      Object.keys(rules).map((one) => `--${one}`),
    );
    return new UsageError(`unknown option ${rawName}${near}`);
  }
  if (isRepeated && rule.many !== true) return new UsageError(`${rawName} is given twice`);
  if (rule.value === undefined)
    return value === undefined ? null : new UsageError(`${rawName} takes no value`);
  if (value === undefined) return new UsageError(`${rawName} needs ${rule.value}`);
  if (inlineValue !== true && value.length > 1 && value.startsWith('-'))
    return new UsageError(
      `${rawName} needs ${rule.value}; if that is ${value}, write --${name}=${value}`,
    );
  if (rule.choices?.includes(value) === false)
    return new UsageError(`${rawName} ${value}: expected one of ${rule.choices.join(', ')}`);
  return null;
}
