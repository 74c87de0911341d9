/** Which clients may connect: rules as `js-websocket` or `unity-socket >=0.3.0 <1.0.0`. */

type Bound = { readonly operator: '>=' | '>' | '<=' | '<' | '='; readonly version: string };

/** One kind of client that may connect, in all versions or in some. */
export type ClientRule = { readonly type: string; readonly bounds: readonly Bound[] };

/** A type with one of < > = * in it is a version without a space, or a pattern, and would match no client. */
const RULE = /^([^\s<>=*]+)((?:\s*(?:>=|<=|>|<|=)\s*\d+(?:\.\d+)*)*)$/;
const BOUND = /(>=|<=|>|<|=)\s*(\d+(?:\.\d+)*)/g;

/** @throws {Error} It is not a rule; the message says what is expected. */
export function parseClientRule(text: string): ClientRule {
  const found = RULE.exec(text);
  if (found === null)
    throw new Error(
      'expected a type without < > = *, maybe with versions, as "unity-socket >=0.3.0 <1.0.0"',
    );
  const bounds = [...found[2]!.matchAll(BOUND)].map(([, operator, version]) => ({
    operator: operator as Bound['operator'],
    version: version!,
  }));
  return { type: found[1]!, bounds };
}

/** True when one of the rules allows the client; without rules all may. */
export function mayConnect(rules: readonly ClientRule[], type: string, version: string): boolean {
  if (rules.length === 0) return true;
  return rules.some(
    (rule) => rule.type === type && rule.bounds.every((bound) => holds(bound, version)),
  );
}

function holds({ operator, version: bound }: Bound, version: string): boolean {
  // An invalid version is older than all others.
  const order = /^\d+(\.\d+)*/.test(version) ? compare(version, bound) : -1;
  switch (operator) {
    case '>=':
      return order >= 0;
    case '>':
      return order > 0;
    case '<=':
      return order <= 0;
    case '<':
      return order < 0;
    case '=':
      return order === 0;
  }
}

/** By the numbers between the dots; what follows them, as `-beta`, does not count. */
function compare(a: string, b: string): number {
  const numbers = (text: string): number[] => /^[\d.]*/.exec(text)![0].split('.').map(Number);
  const left = numbers(a);
  const right = numbers(b);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
