/** What a user of a server may publish and subscribe to, as permissions.conf has it. */
import type { NatsRefusal } from '../../src/upstream/nats/nats-connection.ts';
import { Interest, type Interested } from './nats-interest.ts';

/** Subjects; for a subscription also `subject queue`: in this queue group. */
type Lists = { readonly allow?: readonly string[]; readonly deny?: readonly string[] };

export type Permissions = {
  readonly publish?: Lists;
  readonly subscribe?: Lists;
  /** Answers to what it received, to wherever they were wanted. */
  readonly responses?: { readonly max: number; readonly expiresMs: number };
};

export type NatsUser = Permissions & { readonly user: string; readonly password: string };

type Received = { readonly atMs: number; count: number };

export class Permitted {
  readonly #publish: Rules | null;
  readonly #subscribe: Rules | null;
  readonly #responses: Permissions['responses'];
  readonly #replies = new Map<string, Received>();

  constructor({ publish, subscribe, responses }: Permissions) {
    // A user who may answer, and has no list, may publish nothing else. [nats-server, server/auth.go]
    const lists = responses === undefined ? publish : { allow: [], ...publish };
    this.#publish = lists === undefined ? null : new Rules(lists);
    this.#subscribe = subscribe === undefined ? null : new Rules(subscribe);
    this.#responses = responses;
  }

  mayPublish(subject: string, nowMs: number): boolean {
    if (this.#publish === null || this.#publish.allows(subject, '')) return true;
    const received = this.#replies.get(subject);
    if (received === undefined) return false;
    const { max, expiresMs } = this.#responses!;
    received.count++;
    if (received.count <= max && nowMs - received.atMs <= expiresMs) return true;
    this.#replies.delete(subject);
    return false;
  }

  maySubscribe(subject: string, queue: string): boolean {
    return this.#subscribe?.allows(subject, queue) ?? true;
  }

  /** Whether a message on `subject` is kept from it, whose subscription is wider than it may be. */
  denies(subject: string, queue: string): boolean {
    return this.#subscribe?.denies(subject, queue) ?? false;
  }

  /** It received a message that wants an answer. */
  received(reply: string, nowMs: number): void {
    if (this.#responses !== undefined && !this.#publish!.allows(reply, ''))
      this.#replies.set(reply, { atMs: nowMs, count: 0 });
  }
}

class Rules {
  readonly #allow: Interest<Interested> | null;
  readonly #deny: Interest<Interested> | null;

  constructor({ allow, deny }: Lists) {
    this.#allow = allow === undefined ? null : indexOf(allow);
    this.#deny = deny === undefined ? null : indexOf(deny);
  }

  allows(subject: string, queue: string): boolean {
    return (this.#allow === null || covers(this.#allow, subject, queue, true)) && !this.denies(subject, queue); // prettier-ignore
  }

  denies(subject: string, queue: string): boolean {
    return this.#deny !== null && covers(this.#deny, subject, queue, false);
  }
}

function indexOf(rows: readonly string[]): Interest<Interested> {
  const index = new Interest<Interested>();
  for (const row of rows) {
    const [subject, queue = ''] = row.split(/\s+/);
    index.add({ subject: subject!, queue });
  }
  return index;
}

/** @param isAllow A row with a queue takes the place of one without; in a list of what is denied it adds to it. */
function covers(
  index: Interest<Interested>,
  subject: string,
  queue: string,
  isAllow: boolean,
): boolean {
  let isPlain = false;
  let hasQueues = false;
  let isQueue = false;
  for (const { plain, queues } of index.match(subject)) {
    isPlain ||= plain.length > 0;
    hasQueues ||= queues.size > 0;
    isQueue ||= queues.has(queue);
  }
  if (queue === '' || !hasQueues) return isPlain;
  return isAllow ? isQueue : isPlain || isQueue;
}

/** What the server says about a publication, or about a subscription, which it does not permit. */
export function violation(what: 'Publish' | 'Subscription', subject: string, queue = ''): string {
  const group = queue === '' ? '' : ` using queue "${queue}"`;
  return `Permissions Violation for ${what} to "${subject}"${group}`;
}

/** null: it is about something else. */
export function readViolation(
  text: string,
): (NatsRefusal & { readonly isSubscription: boolean }) | null {
  const pattern =
    /^Permissions Violation for (Publish|Subscription) to "(\S+)"(?: using queue "(\S+)")?/;
  const match = pattern.exec(text);
  if (match === null) return null;
  return { subject: match[2]!, queue: match[3] ?? '', isSubscription: match[1] === 'Subscription' };
}
