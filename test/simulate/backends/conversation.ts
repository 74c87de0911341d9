/** A Link with one gateway, as a backend holds it, whichever side has opened the stream. */
import type { CancelTimer } from '../../../src/clock.ts';
import { WireError } from '../../../src/contract/protobuf-wire.ts';
import type { Pushed, PushPlan, Way } from '../records.ts';
import { numberOf } from './body.ts';
import { CreditGiven } from './credit.ts';
import { type Answer, type Asked, type Courier, NOBODY } from './courier.ts';
import type { Desk } from './desk.ts';
import { FrameQueue } from './frame-queue.ts';
import { LinkAsked } from './link-asked.ts';
import type { LinkOptions } from './link-options.ts';
import {
  type ConnectRead,
  type GatewayFrames,
  type HelloRead,
  type PushResultRead,
  readToBackend,
  type RequestRead,
  type VerbResultRead,
} from './read-frames.ts';
import { Results } from './results.ts';
import { acceptAll, replyOf, shapeOf } from './shapes.ts';
import type { StreamSocket } from './stream.ts';
import {
  connectResponse,
  type ConnectShape,
  credit,
  extend,
  frame,
  goaway,
  hello,
  type PatchShape,
  push,
  verb,
} from './write-frames.ts';
import type { Mischief } from './wrong.ts';
import { futureFields, futureFrames, strangeFrames, unreadable } from './wrong-frames.ts';

/** Of a backend that stops: how long what it has may take. */
const DRAIN_MS_MAX = 15_000;

export class Conversation implements Courier, GatewayFrames {
  readonly way: Way;
  readonly pushesInAnswers = true;
  readonly speaks = true;
  isOver = false;
  /** The gateway, by its own name; '' before its hello. */
  gateway = '';
  readonly #socket: StreamSocket;
  readonly #desk: Desk;
  readonly #options: LinkOptions;
  readonly #onOver: (why: string) => void;
  readonly #pending = new Map<number, LinkAsked>();
  readonly #results: Results;
  readonly #given: CreditGiven | null;
  readonly #out: FrameQueue;
  #features: readonly string[] = [];
  /** The gateway's half has ended. */
  #isHalf = false;
  #isLeaving = false;
  #stopDrain: CancelTimer = () => {};

  /** @param name Of the way. */
  constructor(
    socket: StreamSocket,
    desk: Desk,
    options: LinkOptions,
    { name, onOver }: { name: string; onOver: (why: string) => void },
  ) {
    this.way = { name, process: desk.node.name, keepsOrder: true, tellsEnds: true, order: 0 };
    this.#socket = socket;
    this.#desk = desk;
    this.#options = options;
    this.#onOver = onOver;
    this.#out = new FrameQueue(socket, desk);
    this.#results = new Results(desk, name);
    this.#given = options.features.includes('credit')
      ? new CreditGiven(desk.node.world, name)
      : null;
    socket.handler = {
      onMessage: (message) => {
        this.#onMessage(message);
      },
      onEnd: () => {
        this.#onEnd();
      },
      onCut: (why) => {
        this.#over(why);
      },
    };
    this.#out.add(frame(0, 'hello', hello({ ...options, version: '1.2.3' })));
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get canExtend(): boolean {
    return this.#options.features.includes('extend') && this.#features.includes('extend');
  }

  // ---- what it is sent ----------------------------------------------------------------------------------

  #onMessage(message: Buffer): void {
    if (this.isOver) return;
    try {
      readToBackend(message, this);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#violate('frames can be read', error.message);
    }
  }

  onHello({ gateway, features }: HelloRead): void {
    if (this.gateway !== '') this.#violate('hello comes once', gateway);
    this.gateway = gateway;
    this.#features = features;
    if (this.#given === null || !features.includes('credit')) return;
    this.#out.useCredit();
    this.#grant();
  }

  onRequest(id: number, request: RequestRead): void {
    const { body, bytes, gateway, isNotify, route, seq, sid, timeoutMs, uid, version } = request;
    if (this.gateway === '' || gateway !== this.gateway)
      this.#violate('hello comes first', `request ${id} of ${gateway}`);
    if (request.to !== '' && request.to !== this.#options.instance)
      this.#violate('an instance gets its own', `${request.to} at ${this.#options.instance}`);
    this.#given?.spend(bytes);
    const asked = new LinkAsked(this, { id, version, bytes });
    if (!isNotify) this.#expect(id, asked);
    const n = numberOf(body);
    const text = body.toString('latin1');
    const facts = {
      n,
      sid,
      uid,
      gateway,
      route,
      body: text,
      seq,
      timeoutMs,
      wantsAnswer: !isNotify,
    };
    this.#desk.take(this, asked, facts);
    if (isNotify) this.#processed(bytes);
  }

  onConnect(id: number, { sid, isRefresh }: ConnectRead, bytes: number): void {
    this.#given?.spend(bytes);
    const asked = new LinkAsked(this, { id, version: 0, bytes });
    this.#expect(id, asked);
    const answer = (outcome: ConnectShape): void => {
      this.#settle(id);
      this.#out.add(frame(id, 'connect', connectResponse(outcome)));
    };
    const garbage = (mischief: Mischief): void => {
      this.garbage(id, mischief);
    };
    const waiting = { sid, isRefresh, answer, garbage, get isCancelled() { return asked.isCancelled; } }; // prettier-ignore
    this.#desk.takeConnect(this, waiting, this.#options.letIn ?? acceptAll);
  }

  onClosed(sid: string): void {
    this.#desk.ended(this.way, sid);
  }

  onLost(gateway: string): void {
    this.#desk.ledger.lostGateway(this.way, gateway);
  }

  onCancel(id: number): void {
    const asked = this.#pending.get(id);
    // It may have been answered meanwhile.
    if (asked === undefined) return;
    asked.isCancelled = true;
    this.#settle(id);
  }

  onPushed(id: number, result: PushResultRead): void {
    this.#results.onPushed(id, result);
  }

  onDone(id: number, result: VerbResultRead): void {
    this.#results.onDone(id, result);
  }

  onCredit(frames: number, bytes: number): void {
    if (!this.#out.usesCredit) this.#violate('credit is asked for', `${frames} frames`);
    this.#out.granted(frames, bytes);
  }

  /** The gateway ends its half next. */
  onGoaway(): void {
    this.#isLeaving = true;
  }

  onUnknown(kind: number): void {
    this.#violate('frames are of the contract', `kind ${kind}`);
  }

  #violate(rule: string, what: string): void {
    this.#desk.ledger.world.violate(rule, `${this.way.name}: ${what}`);
  }

  #expect(id: number, asked: LinkAsked): void {
    if (id === 0 || this.#pending.has(id)) this.#violate('ids are not used again', `${id}`);
    this.#pending.set(id, asked);
    const { maxInFlight } = this.#options;
    if (maxInFlight > 0 && this.#pending.size > maxInFlight)
      this.#violate('max_in_flight is kept', `${this.#pending.size} of ${maxInFlight}`);
  }

  /** It is answered, or needs no answer any more. */
  #settle(id: number): void {
    const asked = this.#pending.get(id);
    if (asked === undefined) return;
    this.#pending.delete(id);
    this.#processed(asked.bytes);
    this.#endIfDone();
  }

  #processed(bytes: number): void {
    if (this.#given?.processed(bytes)) this.#grant();
  }

  #grant(): void {
    const { frames, bytes } = this.#given!.grant();
    this.#out.add(frame(0, 'credit', credit(frames, bytes)));
  }

  // ---- what it says -------------------------------------------------------------------------------------

  answer(id: number, answer: Answer): void {
    if (this.isOver) return;
    if (answer.isFuture) for (const one of futureFrames()) this.#out.add(one);
    const message = replyOf(answer);
    this.#settle(id);
    this.#out.add(frame(id, 'reply', answer.isFuture ? futureFields(message) : message));
  }

  garbage(id: number, mischief: Mischief): void {
    if (this.isOver) return;
    this.#settle(id);
    this.#out.flush();
    this.#socket.send(unreadable(mischief, id));
  }

  extend(id: number, ms: number): void {
    if (this.#pending.has(id)) this.#out.add(frame(id, 'extend', extend(ms)));
  }

  push(pushed: Pushed): void {
    if (this.isOver) return;
    const id = pushed.plan.counted ? this.#results.ofPush(pushed) : 0;
    const message = push(shapeOf(pushed, 'apart'));
    this.#out.add(frame(id, 'push', message), message.length);
  }

  change(sid: string, patch: PatchShape, done: (isDone: boolean) => void): void {
    if (this.isOver) return;
    const id = this.#results.ofChange(done);
    const message = verb({ sids: [sid] }, { patch });
    this.#out.add(frame(id, 'verb', message), message.length);
  }

  close(sid: string, kick: boolean): void {
    if (this.isOver) return;
    const message = verb({ sids: [sid] }, { close: { reason: 'own', kick } });
    this.#out.add(frame(0, 'verb', message), message.length);
  }

  strange(mischief: Mischief, asked: Asked): void {
    if (this.isOver) return;
    const { ledger } = this.#desk;
    const plan: PushPlan = { to: { kind: 'session', name: '' }, counted: false, delivery: 'must' };
    const nobodys = shapeOf(ledger.pushing(this.way, plan, NOBODY), 'apart');
    for (const { frame: one, bytes } of strangeFrames(mischief, {
      id: (asked as LinkAsked).id,
      nobodys,
    }))
      this.#out.add(one, bytes);
  }

  // ---- its end ------------------------------------------------------------------------------------------

  /** Asks for no new work; it is over when the gateway has ended its half, and all is answered. */
  leave(): void {
    if (this.isOver || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#out.add(frame(0, 'goaway', goaway('the backend stops')));
    this.#drainLater();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#over('destroyed');
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #onEnd(): void {
    this.#isHalf = true;
    this.#drainLater();
    this.#endIfDone();
  }

  #drainLater(): void {
    this.#stopDrain();
    this.#stopDrain = this.#desk.node.after(DRAIN_MS_MAX, () => {
      this.#finish('took too long');
    });
  }

  #endIfDone(): void {
    if (!this.#isHalf || this.#pending.size > 0) return;
    // The last answer is sent with the end of this turn.
    this.#desk.node.soon(() => {
      if (this.#isHalf && this.#pending.size === 0) this.#finish('done');
    });
  }

  #finish(why: string): void {
    if (this.isOver) return;
    this.#out.flushAll();
    this.#socket.end();
    this.#over(why);
  }

  #over(why: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.way.isOver = true;
    this.#stopDrain();
    this.#out.drop();
    this.#pending.clear();
    this.#results.drop();
    this.#onOver(why);
  }
}
