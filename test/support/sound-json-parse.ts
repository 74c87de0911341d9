/**
 * Makes `JSON.parse` sound in a process of tests, which parse any keys: V8 13.6 mistakes keys once it has parsed an
 * object with a backslash in one; see src/protocol/json-parse.ts. Such texts are read here, in a few lines of their own.
 */

type Revive = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;
type Parse = (text: string, revive?: Revive) => unknown;
type Read = { value: unknown; source?: string };

const TOKEN =
  /[ \t\r\n]*(?:("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(true|false|null)|([{}[\],:]))/y;
const END = /[ \t\r\n]*$/y;
const KEY_WITH_BACKSLASH = /"(?:[^"\\]|\\.)*\\(?:\\|u005c)(?:[^"\\]|\\.)*"\s*:/is;

/** V8's own. Loaded more than once, as vitest does it, this changes nothing more. */
const OWN = Symbol.for('JSON.parse of V8');
const own = JSON as unknown as Record<symbol, Parse | undefined>;
const parse = (own[OWN] ??= JSON.parse.bind(JSON) as Parse);

JSON.parse = ((text: unknown, revive?: Revive) => {
  const given = String(text);
  const isSound = !given.includes('\\') || !KEY_WITH_BACKSLASH.test(given);
  return isSound ? parse(given, revive) : readText(given, revive);
}) as typeof JSON.parse;

function readText(text: string, revive: Revive | undefined): unknown {
  let at = 0;
  const next = (): { text: string; kind: 'string' | 'number' | 'word' | 'mark' } => {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text);
    if (found === null) throw new SyntaxError(`not JSON at ${at}`);
    at = TOKEN.lastIndex;
    const [, string, number, word, mark] = found;
    if (string !== undefined) return { text: string, kind: 'string' };
    if (number !== undefined) return { text: number, kind: 'number' };
    return word === undefined ? { text: mark!, kind: 'mark' } : { text: word, kind: 'word' };
  };
  const done = (holder: unknown, key: string, { value, source }: Read): unknown =>
    revive === undefined
      ? value
      : revive.call(holder, key, value, source === undefined ? {} : { source });
  const value = (token = next()): Read => {
    if (token.kind !== 'mark') return { value: parse(token.text), source: token.text };
    if (token.text === '[') return { value: list() };
    if (token.text === '{') return { value: object() };
    throw new SyntaxError(`not JSON before ${at}`);
  };
  const list = (): unknown[] => {
    const made: unknown[] = [];
    let token = next();
    if (token.text === ']' && token.kind === 'mark') return made;
    for (;;) {
      made.push(done(made, String(made.length), value(token)));
      const { text: mark } = next();
      if (mark === ']') return made;
      if (mark !== ',') throw new SyntaxError(`not JSON before ${at}`);
      token = next();
    }
  };
  const object = (): object => {
    const made = {};
    let token = next();
    if (token.text === '}' && token.kind === 'mark') return made;
    for (;;) {
      if (token.kind !== 'string' || next().text !== ':')
        throw new SyntaxError(`not JSON before ${at}`);
      const key = parse(token.text) as string;
      const inner = done(made, key, value());
      Object.defineProperty(made, key, {
        value: inner,
        writable: true,
        enumerable: true,
        configurable: true,
      });
      const { text: mark } = next();
      if (mark === '}') return made;
      if (mark !== ',') throw new SyntaxError(`not JSON before ${at}`);
      token = next();
    }
  };
  const whole = done({}, '', value());
  END.lastIndex = at;
  if (!END.test(text)) throw new SyntaxError(`not JSON at ${at}`);
  return whole;
}
