/**
 * A double of the JetStream stream of kept pushes: what it stores, sends on, and answers. `integration/keep-stream.test.ts`
 * plays the same to a real one.
 */
const STREAM = 'PITH_KEEP';

/** A message as NATS carries it; `head` is its header block, or empty. */
export type Message = {
  readonly subject: string;
  readonly head: Buffer;
  readonly payload: Buffer;
};
type Stored = Message & { readonly seq: number; readonly at: number };
type Config = {
  perUser: number;
  allowDirect: boolean;
  maxAgeMs: number;
  dest: string;
  subject: string;
};
type Get = { seq?: number; next_by_subj?: string; batch?: number; max_bytes?: number };

export class KeepStreamDouble {
  readonly config: Config = {
    perUser: 100,
    allowDirect: true,
    maxAgeMs: 3_600_000,
    dest: 'pith.user.{{wildcard(1)}}.kept',
    subject: 'pith.keep.user.*',
  };
  /** False: there is JetStream, and no such stream. */
  exists = true;
  /** As servers before 2.11: a reading brings one message. */
  isOld = false;
  /** A server that is behind: it reads only up to this. */
  readsUpTo = Infinity;
  #stored: Stored[] = [];
  #last = 0;

  /** The number of the last message. */
  get last(): number {
    return this.#last;
  }

  /** Deletes it, and makes it again. */
  makeAgain(): void {
    this.#stored = [];
    this.#last = 0;
  }

  /** Stores a message that was published, and returns what is sent on. */
  store({ subject, head, payload }: Message, at: number): Message {
    const before = this.#of(subject).at(-1)?.seq ?? 0;
    const stored = { subject, head, payload, seq: ++this.#last, at };
    this.#stored.push(stored);
    const own = this.#of(subject);
    if (own.length > this.config.perUser)
      this.#stored = this.#stored.filter((one) => one !== own[0]);
    const user = subject.split('.').at(-1)!;
    const sentOn = `${this.config.dest.replace('{{wildcard(1)}}', user)}`;
    return {
      subject: sentOn,
      head: this.#headOf(stored, [`Nats-Last-Sequence: ${before}`]),
      payload,
    };
  }

  #of(subject: string): Stored[] {
    return this.#stored.filter((one) => one.subject === subject);
  }

  /** What it answers to a request to JetStream's API; null: it has no such subject, and nobody answers. */
  answer(subject: string, payload: string): readonly Omit<Message, 'subject'>[] | null {
    if (subject === '$JS.API.STREAM.NAMES') return [json({ streams: this.exists ? [STREAM] : [] })];
    if (subject === `$JS.API.STREAM.INFO.${STREAM}`) return [json(this.#info())];
    if (subject !== `$JS.API.DIRECT.GET.${STREAM}`) return null;
    if (!this.exists || !this.config.allowDirect) return null;
    return this.#get(JSON.parse(payload) as Get);
  }

  #info(): object {
    if (!this.exists) return { error: { code: 404, err_code: 10_059, description: 'no stream' } };
    const { perUser, allowDirect, maxAgeMs, dest, subject } = this.config;
    return {
      config: {
        name: STREAM,
        subjects: [subject],
        max_msgs_per_subject: perUser,
        max_age: maxAgeMs * 1e6,
        allow_direct: allowDirect,
        republish: { src: subject, dest },
      },
      state: { last_seq: this.#last },
    };
  }

  #get({ seq = 1, next_by_subj: subject = '', batch, max_bytes: bytesMax }: Get) {
    const found = this.#of(subject).filter((one) => one.seq >= seq && one.seq <= this.readsUpTo);
    if (found.length === 0) return [status('404 Message Not Found')];
    if (this.isOld || batch === undefined)
      return [{ head: this.#headOf(found[0]!, []), payload: found[0]!.payload }];
    const taken: Stored[] = [];
    let bytes = 0;
    for (const one of found.slice(0, batch)) {
      if (bytes > 0 && bytes + one.payload.length > (bytesMax ?? Infinity)) break;
      taken.push(one);
      bytes += one.payload.length;
    }
    let before = 0;
    const answers = taken.map((one, i) => {
      const lines = [`Nats-Num-Pending: ${found.length - 1 - i}`, `Nats-Last-Sequence: ${before}`];
      before = one.seq;
      return { head: this.#headOf(one, lines), payload: one.payload };
    });
    const left = found.length - taken.length;
    return [
      ...answers,
      status(`204 EOB`, [`Nats-Num-Pending: ${left}`, `Nats-Last-Sequence: ${before}`]),
    ];
  }

  /** The sender's lines come first, whatever they are. */
  #headOf({ head, subject, seq, at }: Stored, more: readonly string[]): Buffer {
    const own = head.length === 0 ? 'NATS/1.0\r\n' : head.toString('latin1').slice(0, -2);
    const lines = [
      `Nats-Stream: ${STREAM}`,
      `Nats-Subject: ${subject}`,
      `Nats-Sequence: ${seq}`,
      `Nats-Time-Stamp: ${new Date(at).toISOString()}`,
      ...more,
    ];
    return Buffer.from(`${own}${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  }
}

function json(value: object): Omit<Message, 'subject'> {
  return { head: Buffer.alloc(0), payload: Buffer.from(JSON.stringify(value)) };
}

function status(text: string, lines: readonly string[] = []): Omit<Message, 'subject'> {
  const all = [`NATS/1.0 ${text}`, ...lines].join('\r\n');
  return { head: Buffer.from(`${all}\r\n\r\n`), payload: Buffer.alloc(0) };
}
