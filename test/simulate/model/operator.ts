/** The backend of the model's fleet, and its operator: everything that it does goes over one connection to NATS. */
import type { NatsConnection, NatsMessage } from '../../../src/upstream/nats/nats-connection.ts';
import { headerBlock, headerValue, jsonHeaderValue, statusIn } from '../backends/nats-text.ts';
import type { Network } from '../network.ts';
import { BACKEND_LINK, natsDialer } from '../nats-link.ts';
import { Node, type World } from '../world.ts';

const INBOX = '_INBOX.operator';
/** Longer than any answer takes. */
const ANSWER_MS = 12_000;
const IDENTITY = {
  ...{ gatewayId: 'operator', inboxPrefix: '', creds: '', user: '', password: '' },
  ...{ token: '', nkey: '' },
};

/** What a client asks its backend to answer with. */
export type Wish = {
  readonly bind?: string;
  readonly join?: readonly string[];
  readonly leave?: readonly string[];
};

export type Json = Readonly<Record<string, unknown>>;

export class Operator {
  readonly node: Node;
  /** Told of every event, in its order. */
  onEvent: (name: string, event: Json) => void = () => {};
  readonly #asked = new Map<string, (answer: Json | null) => void>();
  #connection!: NatsConnection;
  #asks = 0;

  constructor(world: World) {
    this.node = new Node(world, 'operator');
  }

  async connect(network: Network, server: string): Promise<void> {
    const nc = await natsDialer(network, this.node, BACKEND_LINK)(IDENTITY, [server]);
    this.#connection = nc;
    nc.listen({ onRoom() {}, onStale() {}, onLameDuck() {}, onError() {} });
    nc.subscribe(`${INBOX}.*`, (_, message) => { this.#onAnswer(message); }, ''); // prettier-ignore
    nc.subscribe('pith.event.>', (_, message) => { this.#onEvent(message); }, ''); // prettier-ignore
    nc.subscribe('pith.rpc.game.>', (_, message) => { this.#onRequest(message); }, 'game'); // prettier-ignore
    nc.subscribe('pith.connect', (_, message) => { this.#onConnect(message); }, 'game'); // prettier-ignore
    await nc.flush();
  }

  /**
   * Asks, and takes as many answers as there should be.
   *
   * @param lines Names and values of headers in turn.
   * @returns Fewer where nobody listens, or the time is over.
   */
  ask(subject: string, json: object | string, count = 1, lines: string[] = []): Promise<Json[]> {
    const inbox = `${INBOX}.${++this.#asks}`;
    const body = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
    const { promise, resolve } = Promise.withResolvers<Json[]>();
    const answers: Json[] = [];
    const end = (): void => {
      late();
      this.#asked.delete(inbox);
      resolve(answers);
    };
    const late = this.node.after(ANSWER_MS, end);
    this.#asked.set(inbox, (answer) => {
      if (answer !== null) answers.push(answer);
      if (answer === null || answers.length === count) end();
    });
    const block = lines.length > 0 && headerBlock(lines);
    this.#connection.publish(subject, body, {
      reply: inbox,
      ...(block && { headers: { encode: () => block } }),
    });
    return promise;
  }

  /** Publishes, and waits for no answer. */
  tell(subject: string, body: string, lines: readonly string[]): void {
    const block = headerBlock(lines);
    this.#connection.publish(subject, Buffer.from(body), { headers: { encode: () => block } });
  }

  #onAnswer(message: NatsMessage): void {
    const take = this.#asked.get(message.subject);
    // The server says that nobody listens.
    if (statusIn(blockOf(message)) === 503) take?.(null);
    else take?.(jsonOf(message));
  }

  #onEvent(message: NatsMessage): void {
    this.onEvent(message.subject.slice('pith.event.'.length), jsonOf(message));
  }

  #onRequest(message: NatsMessage): void {
    const { reply = '' } = message;
    if (reply === '') return;
    const { bind, join, leave } = jsonOf(message) as Wish;
    const lines: string[] = [];
    if (bind !== undefined) lines.push('Pith-Bind', headerValue(bind));
    if (join !== undefined) lines.push('Pith-Join', jsonHeaderValue(join));
    if (leave !== undefined) lines.push('Pith-Leave', jsonHeaderValue(leave));
    const block = headerBlock(lines);
    const options = lines.length === 0 ? {} : { headers: { encode: () => block } };
    this.#connection.publish(reply, Buffer.from('{"code":200}'), options);
  }

  /** Lets everybody in, as whom they say they are. */
  #onConnect(message: NatsMessage): void {
    const { reply = '' } = message;
    const { user } = jsonOf(message) as { user: { uid?: string } };
    const patch = user.uid === undefined ? {} : { uid: user.uid };
    this.#connection.publish(reply, Buffer.from(JSON.stringify({ accept: { patch } })));
  }
}

function jsonOf({ data }: NatsMessage): Json {
  return JSON.parse(Buffer.from(data).toString()) as Json;
}

function blockOf({ _msg, _rdata }: NatsMessage): string {
  return _msg.hdr <= 0 ? '' : Buffer.from(_rdata.subarray(0, _msg.hdr)).toString('latin1');
}
