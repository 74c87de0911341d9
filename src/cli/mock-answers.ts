/** The answers of `pith mock-backend`, from a YAML file of rules, of which the first match counts. Pure. */
import { parse } from 'yaml';
import { checkPattern } from '../config/syntax.ts';
import { parseDuration } from '../config/units.ts';
import { patternMatches } from '../routing/route-table.ts';
import { isObject } from '../protocol/exact-json.ts';

export type Json = Record<string, unknown>;

/** One request. */
export type Asked = {
  readonly route: string;
  readonly uid: string;
  readonly sid: string;
  /** The parsed body; null: not JSON. */
  readonly body: unknown;
};

export type MockPush = {
  readonly route: string;
  readonly body: unknown;
  readonly afterMs: number;
};

/** What to do with one request. */
export type MockAnswer = {
  readonly delayMs: number;
  readonly answer: unknown;
  /** null: no error, `answer` is sent. */
  readonly error: {
    readonly code: number;
    readonly reason: string;
    readonly message: string;
  } | null;
  /** The uid to bind the session to; '': none. */
  readonly bind: string;
  readonly pushes: readonly MockPush[];
};

type Rule = {
  readonly match: string;
  readonly answer: unknown;
  readonly error: Json | null;
  readonly delayMs: number;
  readonly bind: unknown;
  readonly pushes: readonly MockPush[];
};

const KEYS = ['match', 'answer', 'error', 'delay', 'bind', 'pushes'];

export class MockAnswers {
  readonly #rules: readonly Rule[];

  private constructor(rules: readonly Rule[]) {
    this.#rules = rules;
  }

  /** Without a file: every request is echoed. */
  static echo(): MockAnswers {
    return new MockAnswers([]);
  }

  /** @throws {Error} Says what is wrong, and in which entry. */
  static of(yaml: string): MockAnswers {
    const list = parse(yaml) as unknown;
    if (!Array.isArray(list))
      throw new Error(
        'expected a list, as in\n  - { match: "chat.room.join", answer: { code: 200 } }',
      );
    return new MockAnswers(list.map(readRule));
  }

  of(asked: Asked): MockAnswer {
    const rule = this.#rules.find(({ match }) => patternMatches(match, asked.route));
    const fill = (value: unknown): unknown => filled(value, asked);
    if (rule === undefined) {
      const { route, uid, body } = asked;
      return { ...NOTHING, answer: { route, uid, body } };
    }
    const { answer, error, delayMs, bind, pushes } = rule;
    const { code = 400, reason = 'MOCK', msg = '' } = (fill(error ?? {}) as Json) ?? {};
    return {
      delayMs,
      answer: fill(answer),
      error: error && {
        code: Number(words(code)) || 400,
        reason: words(reason),
        message: words(msg),
      },
      bind: bind === undefined ? '' : words(fill(bind)),
      pushes: pushes.map((push) => ({ ...push, body: fill(push.body) })),
    };
  }
}

const NOTHING = { delayMs: 0, error: null, bind: '', pushes: [] };

function readRule(entry: unknown, i: number): Rule {
  const wrong = (what: string): Error => new Error(`entry ${i + 1}: ${what}`);
  if (!isObject(entry)) throw wrong('expected a map with `match`');
  const unknownKey = Object.keys(entry).find((key) => !KEYS.includes(key));
  if (unknownKey !== undefined)
    throw wrong(`unknown key "${unknownKey}"; known keys: ${KEYS.join(', ')}`);
  const { match, answer = {}, error = null, delay = '0s', bind, pushes = [] } = entry;
  const isPattern = typeof match === 'string' ? checkPattern(match) : 'is missing';
  if (isPattern !== undefined) throw wrong(`match: ${isPattern}`);
  if (error !== null && !isObject(error))
    throw wrong('error: expected { code: 400, reason: TAKEN, msg: "…" }');
  if (!Array.isArray(pushes)) throw wrong('pushes: expected a list of { route, body, after }');
  return {
    match: match as string,
    answer,
    error,
    delayMs: readDuration(delay, (what) => wrong(`delay: ${what}`)),
    bind,
    pushes: pushes.map((push: unknown, n) => {
      if (!isObject(push) || typeof push['route'] !== 'string')
        throw wrong(`pushes[${n}]: expected { route, body, after }`);
      const { route, body = {}, after = '0s' } = push;
      const afterMs = readDuration(after, (what) => wrong(`pushes[${n}].after: ${what}`));
      return { route: route as string, body, afterMs };
    }),
  };
}

function readDuration(value: unknown, wrong: (what: string) => Error): number {
  const ms = parseDuration(words(value));
  if (Number.isNaN(ms)) throw wrong('expected a duration, as in 250ms or 2s');
  return ms;
}

/** A text as it is, anything else as JSON: an object may have no text of its own. */
function words(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Replaces `{body.name}`, `{uid}`, `{sid}` and `{route}` with the request's values; a text that is only one keeps its type. */
function filled(value: unknown, asked: Asked): unknown {
  if (Array.isArray(value)) return value.map((item) => filled(item, asked));
  if (isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, filled(item, asked)]),
    );
  if (typeof value !== 'string') return value;
  const whole = /^\{([a-z]+(?:\.[^{}.]+)*)\}$/.exec(value);
  if (whole !== null) return lookUp(whole[1]!, asked) ?? null;
  return value.replace(/\{([a-z]+(?:\.[^{}.]+)*)\}/g, (text, path: string) => {
    const found = lookUp(path, asked);
    if (found === undefined) return text;
    return typeof found === 'string' ? found : JSON.stringify(found);
  });
}

function lookUp(path: string, asked: Asked): unknown {
  const [head, ...rest] = path.split('.');
  if (head !== 'body' && head !== 'uid' && head !== 'sid' && head !== 'route') return undefined;
  let value: unknown = asked[head];
  for (const key of rest)
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}
