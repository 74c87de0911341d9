/**
 * The subscriptions on one server. A literal subject is found by its name, a pattern by the tokens before its first
 * wildcard, so looking up a subject takes one step per token, however many subscriptions there are.
 */

/** A subscriber as the index knows it. */
export type Interested = { readonly subject: string; readonly queue: string };

/** All subscriptions with the same subject. */
export class Pattern<T extends Interested> {
  readonly subject: string;
  readonly plain: T[] = [];
  readonly queues = new Map<string, T[]>();
  /** What it has from its first wildcard on; null: it has none. */
  readonly tail: readonly string[] | null;
  /** What it has before that, with the last dot. */
  readonly head: string;

  constructor(subject: string) {
    const tokens = subject.split('.');
    const at = tokens.findIndex((token) => token === '*' || token === '>');
    this.subject = subject;
    this.tail = at < 0 ? null : tokens.slice(at);
    this.head = at < 0 ? subject : tokens.slice(0, at).map((token) => `${token}.`).join(''); // prettier-ignore
  }

  get isEmpty(): boolean {
    return this.plain.length === 0 && this.queues.size === 0;
  }

  /** Whether `subject` matches from `start` on, where the head ends. */
  matchesFrom(subject: string, start: number): boolean {
    const tail = this.tail!;
    let from = start;
    for (let i = 0; i < tail.length; i++) {
      const wanted = tail[i]!;
      if (wanted === '>') return true;
      const dot = subject.indexOf('.', from);
      const end = dot < 0 ? subject.length : dot;
      if (wanted !== '*' && (end - from !== wanted.length || !subject.startsWith(wanted, from)))
        return false;
      const isLast = i === tail.length - 1;
      if (isLast !== dot < 0) return false;
      from = end + 1;
    }
    return true;
  }
}

/** Whether the server takes a subscription to it: no token may be empty, and `>` must be the last. */
export function isSubscribable(subject: string): boolean {
  const tokens = subject.split('.');
  return tokens.every(
    (token, i) => token !== '' && !/[ \t\n\f\r]/.test(token) && (token !== '>' || i === tokens.length - 1), // prettier-ignore
  );
}

export class Interest<T extends Interested> {
  readonly #all = new Map<string, Pattern<T>>();
  readonly #literal = new Map<string, Pattern<T>>();
  readonly #wild = new Map<string, Pattern<T>[]>();
  /** How many heads there are of each length: a subject is cut only where one may be. */
  readonly #headLengths: number[] = [];
  readonly #found: Pattern<T>[] = [];

  add(one: T): void {
    let pattern = this.#all.get(one.subject);
    if (pattern === undefined) {
      pattern = new Pattern<T>(one.subject);
      this.#all.set(one.subject, pattern);
      this.#index(pattern);
    }
    if (one.queue === '') {
      pattern.plain.push(one);
      return;
    }
    const members = pattern.queues.get(one.queue);
    if (members === undefined) pattern.queues.set(one.queue, [one]);
    else members.push(one);
  }

  remove(one: T): void {
    const pattern = this.#all.get(one.subject);
    if (pattern === undefined) return;
    const list = one.queue === '' ? pattern.plain : pattern.queues.get(one.queue);
    const at = list?.indexOf(one) ?? -1;
    if (at < 0) return;
    list!.splice(at, 1);
    if (one.queue !== '' && list!.length === 0) pattern.queues.delete(one.queue);
    if (!pattern.isEmpty) return;
    this.#all.delete(one.subject);
    this.#unindex(pattern);
  }

  /** How many subjects are subscribed to. */
  get size(): number {
    return this.#all.size;
  }

  /** The patterns that `subject` matches, valid until the next call. A subject with an empty token matches none. */
  match(subject: string): readonly Pattern<T>[] {
    const found = this.#found;
    found.length = 0;
    let start = 0;
    for (;;) {
      if ((this.#headLengths[start] ?? 0) > 0) this.#matchHead(subject, start);
      const dot = subject.indexOf('.', start);
      if (dot === start || start === subject.length) {
        found.length = 0;
        return found;
      }
      if (dot < 0) break;
      start = dot + 1;
    }
    const literal = this.#literal.get(subject);
    if (literal !== undefined) found.push(literal);
    return found;
  }

  #matchHead(subject: string, end: number): void {
    const patterns = this.#wild.get(subject.slice(0, end));
    if (patterns === undefined) return;
    for (const pattern of patterns)
      if (pattern.matchesFrom(subject, end)) this.#found.push(pattern);
  }

  #index(pattern: Pattern<T>): void {
    if (pattern.tail === null) {
      this.#literal.set(pattern.subject, pattern);
      return;
    }
    const { head } = pattern;
    while (this.#headLengths.length <= head.length) this.#headLengths.push(0);
    const others = this.#wild.get(head);
    if (others === undefined) {
      this.#wild.set(head, [pattern]);
      this.#headLengths[head.length]!++;
    } else others.push(pattern);
  }

  #unindex(pattern: Pattern<T>): void {
    if (pattern.tail === null) {
      this.#literal.delete(pattern.subject);
      return;
    }
    const { head } = pattern;
    const others = this.#wild.get(head)!;
    others.splice(others.indexOf(pattern), 1);
    if (others.length > 0) return;
    this.#wild.delete(head);
    this.#headLengths[head.length]!--;
  }
}
