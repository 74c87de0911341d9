/** One connection of a backend to NATS: requests, answers, pushes and verbs by the contract's subjects and headers. */
import type { NatsConnection, NatsMessage } from '../../../src/upstream/nats/nats-connection.ts';
import type { Outcome, Pushed, Way } from '../records.ts';
import { numberOf } from './body.ts';
import type { Answer, Asked, Courier, LetIn } from './courier.ts';
import type { Desk } from './desk.ts';
import { beStrange, CONNECT_GARBAGE, GARBAGE } from './nats-strange.ts';
import {
  headerBlock,
  headerIn,
  headerValue,
  jsonHeaderValue,
  statusIn,
  token,
} from './nats-text.ts';
import { added, connectJson, verbOf, versionIn } from './nats-verbs.ts';
import { shapeOf } from './shapes.ts';
import type { Mischief } from './wrong.ts';
import { type ConnectShape, type PatchShape, push, pushBatch } from './write-frames.ts';

/** How long the answer to a verb is waited for. */
const VERB_MS = 2_000;
/** Pushes that are sent as a PushBatch. */
const BATCH_CHANCE = 0.2;
const NOTHING = Buffer.alloc(0);
const EMPTY = '';

type Answered = { readonly status: number; readonly json: string };

export class NatsCourier implements Courier {
  readonly way: Way;
  readonly pushesInAnswers = false;
  readonly speaks = true;
  readonly canExtend = false;
  isOver = false;
  readonly #connection: NatsConnection;
  readonly #desk: Desk;
  readonly #inbox: string;
  readonly #asked = new Map<string, (answer: Answered | null) => void>();
  readonly #serving: { unsubscribe(): void }[] = [];
  /** Pushes that go out together, for one gateway. */
  #batch: { readonly gateway: string; readonly pushes: Buffer[] } | null = null;
  #asks = 0;

  constructor(
    connection: NatsConnection,
    desk: Desk,
    { name, keepsOrder }: { name: string; keepsOrder: boolean },
  ) {
    this.#connection = connection;
    this.#desk = desk;
    this.way = { name, process: desk.node.name, keepsOrder, tellsEnds: false, order: 0 };
    this.#inbox = `_INBOX.${desk.node.name.replace('#', '-')}`;
    connection.subscribe(`${this.#inbox}.*`, (_, message) => { this.#onAnswer(message); }, ''); // prettier-ignore
    connection.subscribe('strange.>', (_, message) => {
      // The server itself says that nobody listens.
      if (statusIn(blockOf(message)) === 0)
        desk.ledger.world.violate('a gateway answers to inboxes alone', `${name}: ${message.subject}`);
    }, ''); // prettier-ignore
  }

  // ---- requests -----------------------------------------------------------------------------------------

  /** @param prefixLength Of the subject, before the route. */
  serve(subject: string, queue: string, prefixLength: number): void {
    const take = (error: Error | null, message: NatsMessage): void => {
      if (error === null) this.#onRequest(message, message.subject.slice(prefixLength));
    };
    this.#serving.push(this.#connection.subscribe(subject, take, queue));
  }

  #onRequest(message: NatsMessage, route: string): void {
    const block = blockOf(message);
    const { reply = EMPTY } = message;
    const sid = headerIn(block, 'Pith-Sid') ?? '';
    const wantsAnswer = reply !== '';
    const gateway = sid.slice(0, sid.lastIndexOf('.'));
    this.#checkHeaders(block, { route, reply, gateway });
    const body = Buffer.from(message.data);
    this.#desk.take(this, new NatsAsked(this, sid, reply), {
      n: numberOf(body),
      sid,
      uid: headerIn(block, 'Pith-Uid') ?? '',
      gateway,
      route,
      body: body.toString('latin1'),
      seq: Number(headerIn(block, 'Pith-Seq')),
      timeoutMs: Number(headerIn(block, 'Pith-Timeout-Ms') ?? 0),
      wantsAnswer,
    });
  }

  #checkHeaders(
    block: string,
    { route, reply, gateway }: { route: string; reply: string; gateway: string },
  ): void {
    const wrong = (what: string): void => {
      this.#desk.ledger.world.violate('headers are of the contract', `${this.way.name}: ${what}`);
    };
    if (headerIn(block, 'Pith-Route') !== route) wrong(`Pith-Route on ${route}: ${block}`);
    if ((headerIn(block, 'Pith-Id') === null) !== (reply === '')) wrong(`Pith-Id with ${reply}`);
    if (!(Number(headerIn(block, 'Pith-Seq')) > 0)) wrong(`no Pith-Seq: ${block}`);
    if (reply !== '' && !reply.startsWith(`_INBOX.${gateway}.rpc.`))
      wrong(`${gateway} asks with ${reply}`);
  }

  answer(reply: string, answer: Answer): void {
    if (this.isOver || reply === '') return;
    const lines: string[] = [];
    const { patch, refusal } = answer;
    if (patch?.uid !== undefined) lines.push('Pith-Bind', headerValue(patch.uid));
    if (patch?.set !== undefined) lines.push('Pith-Set', jsonHeaderValue(patch.set));
    if (patch?.join !== undefined) lines.push('Pith-Join', jsonHeaderValue(patch.join));
    if (patch?.leave !== undefined) lines.push('Pith-Leave', jsonHeaderValue(patch.leave));
    if (patch?.ifVersion !== undefined) lines.push('Pith-If-Version', String(patch.ifVersion));
    if (answer.closes) lines.push('Pith-Close', 'planned');
    if (refusal !== null) {
      lines.push('Nats-Service-Error-Code', '555', 'Nats-Service-Error', refusal);
      lines.push('Pith-Error-Reason', 'PLANNED');
    }
    if (answer.isFuture)
      lines.push('Pith-Later', headerValue('späť'), 'X-Later', 'é', 'Nats-Later', '');
    this.publish(reply, refusal === null ? Buffer.from(answer.body) : NOTHING, lines);
  }

  garbage(reply: string, mischief: Mischief): void {
    const block = mischief.oneOf(GARBAGE);
    if (reply !== '')
      this.#send(reply, Buffer.from('{"by":"garbage"}'), { headers: { encode: () => block } });
  }

  // ---- who may connect ----------------------------------------------------------------------------------

  serveConnect(letIn: LetIn, queue: string): void {
    const take = (error: Error | null, message: NatsMessage): void => {
      if (error === null) this.#onConnect(message, letIn);
    };
    this.#serving.push(this.#connection.subscribe('pith.connect', take, queue));
  }

  #onConnect({ data, reply = EMPTY }: NatsMessage, letIn: LetIn): void {
    if (reply === '') return;
    const { session, refresh } = JSON.parse(Buffer.from(data).toString()) as {
      session: { sid: string };
      refresh: boolean;
    };
    const answer = (outcome: ConnectShape): void => {
      this.publish(reply, Buffer.from(JSON.stringify(connectJson(outcome))));
    };
    const garbage = (mischief: Mischief): void => {
      this.publish(reply, mischief.oneOf(CONNECT_GARBAGE));
    };
    const { sid } = session;
    const asked = { sid, isRefresh: refresh, isCancelled: false, answer, garbage };
    this.#desk.takeConnect(this, asked, letIn);
  }

  // ---- of its own ---------------------------------------------------------------------------------------

  push(pushed: Pushed): void {
    if (this.isOver) return;
    const { body, plan, sid } = pushed;
    const { counted, delivery, to } = plan;
    if (!counted && to.kind === 'session' && this.#desk.random.chance(BATCH_CHANCE)) {
      this.#addToBatch(pushed);
      return;
    }
    const lines = ['Pith-Route', 'onPush'];
    if (delivery !== 'must') lines.push('Pith-Delivery', delivery);
    if (delivery === 'latest') lines.push('Pith-Latest-Key', 'score');
    const subject =
      to.kind === 'session'
        ? `pith.session.${sid}.push`
        : to.kind === 'all'
          ? 'pith.all.push'
          : `pith.${to.kind}.${token(to.name)}.push`;
    if (counted) this.#pushCounted(pushed, subject, lines);
    else this.publish(subject, Buffer.from(body), lines);
  }

  #pushCounted(pushed: Pushed, subject: string, lines: readonly string[]): void {
    const isOne = pushed.plan.to.kind === 'session';
    let sum: Outcome = { delivered: 0, dropped: 0, refused: 0, isPartial: !isOne };
    const stop = this.#request(subject, Buffer.from(pushed.body), lines, (answer) => {
      if (answer === null) {
        // Nobody knows how many gateways would have answered.
        if (!isOne) this.#desk.ledger.pushed(pushed, sum);
        return;
      }
      if (answer.status !== 503) sum = added(sum, answer.json);
      if (!isOne) return;
      stop();
      this.#desk.ledger.pushed(pushed, sum);
    });
  }

  #addToBatch(pushed: Pushed): void {
    const gateway = pushed.sid.slice(0, pushed.sid.lastIndexOf('.'));
    if (this.#batch !== null && this.#batch.gateway !== gateway) this.#sendBatch();
    if (this.#batch === null) {
      this.#batch = { gateway, pushes: [] };
      this.#desk.node.soon(() => {
        this.#sendBatch();
      });
    }
    this.#batch.pushes.push(push(shapeOf(pushed, 'apart')));
  }

  #sendBatch(): void {
    const batch = this.#batch;
    if (batch === null) return;
    this.#batch = null;
    this.publish(`pith.gateway.${batch.gateway}.push`, pushBatch(batch.pushes));
  }

  /** By the verb that says just that, or by `patch`. The change of a user that must follow a version asks for it first. */
  change(sid: string, patch: PatchShape, done: (isDone: boolean) => void): void {
    if (this.isOver) return;
    const subject = `pith.session.${sid}`;
    if (patch.uid !== undefined && patch.ifVersion === undefined) {
      this.#ask(`${subject}.get`, '', (answer) => {
        const version = answer === null || answer.status !== 0 ? 0 : versionIn(answer.json);
        if (version === 0) done(false);
        else this.change(sid, { ...patch, ifVersion: version }, done);
      });
      return;
    }
    const [verb, json] = verbOf(patch);
    this.#ask(`${subject}.${verb}`, json, (answer) => {
      done(answer !== null && answer.status === 0 && !answer.json.startsWith('{"error"'));
    });
  }

  close(sid: string, kick: boolean): void {
    const body = this.#desk.random.chance(0.5) ? '{"reason":"own"}' : '';
    this.publish(`pith.session.${sid}.${kick ? 'kick' : 'close'}`, Buffer.from(body));
  }

  strange(mischief: Mischief, asked: Asked): void {
    const { sid } = asked as NatsAsked;
    beStrange(mischief, this, { sid, ledger: this.#desk.ledger });
  }

  /** One answer. */
  #ask(subject: string, json: string, done: (answer: Answered | null) => void): void {
    const stop = this.#request(subject, Buffer.from(json), [], (answer) => {
      stop();
      done(answer);
    });
  }

  /** @param take Told of each answer, and null when it has waited long enough. @returns Waits for no more of them. */
  #request(
    subject: string,
    body: Buffer,
    lines: readonly string[],
    take: (answer: Answered | null) => void,
  ): () => void {
    const inbox = `${this.#inbox}.${++this.#asks}`;
    const late = this.#desk.node.after(VERB_MS, () => {
      this.#asked.delete(inbox);
      take(null);
    });
    this.#asked.set(inbox, take);
    this.publish(subject, body, lines, inbox);
    return () => {
      late();
      this.#asked.delete(inbox);
    };
  }

  #onAnswer(message: NatsMessage): void {
    const take = this.#asked.get(message.subject);
    take?.({ status: statusIn(blockOf(message)), json: Buffer.from(message.data).toString() });
  }

  /** @param lines Names and values of headers in turn. */
  publish(subject: string, body: Buffer, lines: readonly string[] = [], reply = ''): void {
    // What was pushed before goes out before.
    this.#sendBatch();
    const block = lines.length === 0 ? null : headerBlock(lines);
    this.#send(subject, body, { ...(block !== null && { headers: { encode: () => block } }), ...(reply !== '' && { reply }) }); // prettier-ignore
  }

  #send(subject: string, body: Buffer, options: Parameters<NatsConnection['publish']>[2]): void {
    if (!this.isOver && !this.#connection.isClosed)
      this.#connection.publish(subject, body, options);
  }

  // ---- its end ------------------------------------------------------------------------------------------

  /** Takes no more requests. */
  leave(): void {
    if (this.#connection.isClosed) return;
    for (const one of this.#serving) one.unsubscribe();
  }

  /** Ends the connection, after what was sent. */
  end(): void {
    if (!this.#connection.isClosed) this.#connection.close().catch(() => {});
  }

  /** The connection has ended. */
  over(): void {
    this.isOver = true;
    this.#asked.clear();
  }
}

export class NatsAsked implements Asked {
  readonly isCancelled = false;
  readonly version = null;
  readonly sid: string;
  readonly reply: string;
  readonly #courier: NatsCourier;

  constructor(courier: NatsCourier, sid: string, reply: string) {
    this.#courier = courier;
    this.sid = sid;
    this.reply = reply;
  }

  answer(answer: Answer): void {
    this.#courier.answer(this.reply, answer);
  }

  garbage(mischief: Mischief): void {
    this.#courier.garbage(this.reply, mischief);
  }

  extend(): void {}
}

/** The header block of a message; '': it has none. */
function blockOf({ _msg, _rdata }: NatsMessage): string {
  const { hdr } = _msg;
  return hdr <= 0 ? '' : Buffer.from(_rdata.buffer, _rdata.byteOffset, hdr).toString('latin1');
}
