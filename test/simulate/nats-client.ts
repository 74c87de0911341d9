/** A backend's or a tool's client of NATS: it connects again whenever its connection ends, as client libraries do. */
import type { CancelTimer } from '../../src/clock.ts';
import type {
  NatsConnection,
  NatsMessage,
  NatsSubscription,
} from '../../src/upstream/nats/nats-connection.ts';
import { type ChannelOptions, NEAR, type Network } from './channel.ts';
import { natsDialer } from './nats-link.ts';
import type { Node } from './world.ts';

export type NatsClientOptions = {
  readonly network: Network;
  readonly node: Node;
  /** `host:4222`. */
  readonly servers: readonly string[];
  /** One token; its inboxes are `_INBOX.<name>.<n>`. */
  readonly name: string;
  readonly user?: string;
  readonly password?: string;
  readonly latency?: ChannelOptions;
};

export type ClientPublishOptions = {
  readonly reply?: string;
  /** `Name: value\r\n` each. */
  readonly headers?: string;
};

/** What becomes of a request. `away`: it was not sent, or its connection ended first. */
export type ClientAnswer =
  | { readonly kind: 'answer'; readonly data: Buffer; readonly headers: Buffer | null }
  | { readonly kind: 'nobody' | 'timeout' | 'away' };

/** Between one attempt to connect and the next, in milliseconds. */
const AGAIN_MS = [250, 2_000] as const;

type Wanted = {
  readonly subject: string;
  readonly queue: string;
  readonly take: (message: NatsMessage) => void;
  live: NatsSubscription | null;
};

type Asked = { readonly answer: (answer: ClientAnswer) => void; readonly cancel: CancelTimer };

export class NatsClient {
  /** Called after each connection, when its subscriptions are in force. */
  onUp: () => void = () => {};
  readonly #options: NatsClientOptions;
  readonly #wanted = new Set<Wanted>();
  readonly #asked = new Map<string, Asked>();
  #nc: NatsConnection | null = null;
  #isUp = false;
  #isClosing = false;
  #requests = 0;

  constructor(options: NatsClientOptions) {
    this.#options = options;
    this.subscribe(`${this.#inbox}.*`, '', (message) => {
      this.#onReply(message);
    });
    this.#connect();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get #inbox(): string {
    return `_INBOX.${this.#options.name}`;
  }

  /** On this connection and every later one. `message` is valid while `take` is called. */
  subscribe(
    subject: string,
    queue: string,
    take: (message: NatsMessage) => void,
  ): NatsSubscription {
    const wanted: Wanted = { subject, queue, take, live: null };
    this.#wanted.add(wanted);
    this.#subscribe(wanted);
    return {
      unsubscribe: () => {
        this.#wanted.delete(wanted);
        wanted.live?.unsubscribe();
      },
    };
  }

  /** False: there is no connection, and it is lost. */
  publish(subject: string, data: Uint8Array, options: ClientPublishOptions = {}): boolean {
    if (this.#nc === null || this.#nc.isClosed) return false;
    const { reply, headers } = options;
    this.#nc.publish(subject, data, {
      ...(reply !== undefined && { reply }),
      ...(headers !== undefined && { headers: { encode: () => blockOf(headers) } }),
    });
    return true;
  }

  request(
    subject: string,
    data: Uint8Array,
    timeoutMs: number,
    headers?: string,
  ): Promise<ClientAnswer> {
    return new Promise((resolve) => {
      const reply = `${this.#inbox}.${++this.#requests}`;
      const cancel = this.#options.node.after(timeoutMs, () => {
        this.#settle(reply, { kind: 'timeout' });
      });
      this.#asked.set(reply, { answer: resolve, cancel });
      const options = { reply, ...(headers !== undefined && { headers }) };
      if (!this.publish(subject, data, options)) this.#settle(reply, { kind: 'away' });
    });
  }

  /** Ends its connection; it connects again. */
  cut(): void {
    this.#nc?.close().catch(() => {});
  }

  /** Ends it in order, for good. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#nc !== null && !this.#nc.isClosed) await this.#nc.drain();
  }

  // ---- the life of its connection -----------------------------------------------------------------------

  #connect(): void {
    this.#run().then(
      () => {
        this.#again();
      },
      () => {
        this.#again();
      },
    );
  }

  #again(): void {
    const { node } = this.#options;
    if (this.#isClosing) return;
    node.after(node.random.between(...AGAIN_MS), () => {
      this.#connect();
    });
  }

  /** Resolves when a connection has ended, rejects when there was none. */
  async #run(): Promise<void> {
    const { network, node, name, user = '', password = '', latency = NEAR } = this.#options;
    const dial = natsDialer(network, node, { latency, echo: true });
    const none = { inboxPrefix: this.#inbox, creds: '', token: '', nkey: '' };
    const nc = await dial({ gatewayId: name, user, password, ...none }, this.#inSomeOrder());
    if (this.#isClosing) {
      await nc.close();
      return;
    }
    this.#nc = nc;
    for (const wanted of this.#wanted) this.#subscribe(wanted);
    await Promise.race([nc.flush(), nc.closed()]);
    if (!nc.isClosed) {
      this.#isUp = true;
      this.onUp();
      await nc.closed();
    }
    this.#lost(nc);
  }

  #inSomeOrder(): string[] {
    const servers = [...this.#options.servers];
    const first = this.#options.node.random.int(0, servers.length - 1);
    return [...servers.slice(first), ...servers.slice(0, first)];
  }

  #lost(nc: NatsConnection): void {
    this.#nc = null;
    this.#isUp = false;
    nc.discard();
    for (const wanted of this.#wanted) wanted.live = null;
    for (const reply of [...this.#asked.keys()]) this.#settle(reply, { kind: 'away' });
  }

  #subscribe(wanted: Wanted): void {
    const { subject, queue, take } = wanted;
    if (this.#nc === null || this.#nc.isClosed) return;
    const onMessage = (error: Error | null, message: NatsMessage): void => {
      if (error === null) take(message);
    };
    wanted.live = this.#nc.subscribe(subject, onMessage, queue);
  }

  #onReply(message: NatsMessage): void {
    const headers = headersOf(message);
    const data = Buffer.from(message.data);
    const isNobody = data.length === 0 && headers?.toString('latin1', 0, 12) === 'NATS/1.0 503';
    this.#settle(
      message.subject,
      isNobody ? { kind: 'nobody' } : { kind: 'answer', data, headers },
    );
  }

  #settle(reply: string, answer: ClientAnswer): void {
    const asked = this.#asked.get(reply);
    if (asked === undefined) return;
    this.#asked.delete(reply);
    asked.cancel();
    asked.answer(answer);
  }
}

/** Its header block; null: it has none. */
export function headersOf({ _msg, _rdata }: NatsMessage): Buffer | null {
  return _msg.hdr > 0 ? Buffer.from(_rdata.subarray(0, _msg.hdr)) : null;
}

function blockOf(lines: string): Buffer {
  return Buffer.from(`NATS/1.0\r\n${lines}\r\n`, 'latin1');
}
