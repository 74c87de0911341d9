/** Handle, Connect and Closed, each a call of its own, as a backend without a Link serves them. */
import type { Method, ServerCall } from '../grpc-server.ts';
import type { Way } from '../records.ts';
import { numberOf } from './body.ts';
import type { Answer, Asked, Courier, LetIn } from './courier.ts';
import type { Desk } from './desk.ts';
import { readConnect, readRequest, readSidIn } from './read-frames.ts';
import { acceptAll, replyOf } from './shapes.ts';
import { connectResponse, type ConnectShape } from './write-frames.ts';
import { futureFields } from './wrong-frames.ts';
import type { Mischief } from './wrong.ts';

/** Statuses of gRPC that mean that the call itself failed. */
const FAILURES = [2, 13, 14, 15] as const;
const GARBAGE = [
  Buffer.from([0x0a, 0x7f, 0x0a]),
  Buffer.alloc(12, 0xff),
  Buffer.from([0x00, 0x01]),
];
/** Ways of sessions whose ends were not told. */
const WAYS_MAX = 2_000;
const PRUNED_EVERY = 64;

export class HandleCalls {
  readonly methods: ReadonlyMap<string, Method>;
  readonly #desk: Desk;
  readonly #letIn: LetIn;
  /** Calls of different sessions have no order among them. */
  readonly #ways = new Map<string, Way>();
  readonly #open = new Set<ServerCall>();
  #waysMade = 0;

  constructor(desk: Desk, letIn: LetIn = acceptAll) {
    this.#desk = desk;
    this.#letIn = letIn;
    const methods: [string, (call: ServerCall, message: Buffer) => void][] = [
      ['Handle', (call, message) => { this.#handle(call, message); }], // prettier-ignore
      ['Connect', (call, message) => { this.#connect(call, message); }], // prettier-ignore
      ['Closed', (call, message) => { this.#closed(call, message); }], // prettier-ignore
    ];
    this.methods = new Map(
      methods.map(([name, take]) => [`/pith.v1.Backend/${name}`, (call) => {
        call.onMessage = (message) => { take(call, message); };
      }]), // prettier-ignore
    );
  }

  get inFlight(): number {
    this.#prune();
    return this.#open.size;
  }

  #prune(): void {
    for (const call of this.#open) if (call.isEnded) this.#open.delete(call);
  }

  #wayOf(call: ServerCall, sid: string): Way {
    const key = `${call.connection.from.name}/${sid}`;
    let way = this.#ways.get(key);
    if (way !== undefined) return way;
    const process = this.#desk.node.name;
    const name = `${process}/handle${++this.#waysMade}/${call.connection.from.name}`;
    way = { name, process, keepsOrder: true, tellsEnds: true, order: 0 };
    this.#ways.set(key, way);
    if (this.#ways.size > WAYS_MAX) this.#ways.delete(this.#ways.keys().next().value!);
    return way;
  }

  #handle(call: ServerCall, message: Buffer): void {
    const { body, gateway, isNotify, route, seq, sid, timeoutMs, uid } = readRequest(message);
    this.#open.add(call);
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
    this.#desk.take(new HandleCourier(this.#wayOf(call, sid), call), new HandleAsked(call), facts);
    if (this.#open.size % PRUNED_EVERY === 0) this.#prune();
  }

  #connect(call: ServerCall, message: Buffer): void {
    const { sid, isRefresh } = readConnect(message);
    const asked = new HandleAsked(call);
    const courier = new HandleCourier(this.#wayOf(call, sid), call);
    const waiting = {
      sid,
      isRefresh,
      answer: (outcome: ConnectShape) => {
        call.answer(connectResponse(outcome));
      },
      garbage: (mischief: Mischief) => {
        asked.garbage(mischief);
      },
      get isCancelled() {
        return call.isEnded;
      },
    };
    this.#desk.takeConnect(courier, waiting, this.#letIn);
  }

  #closed(call: ServerCall, message: Buffer): void {
    const sid = readSidIn(message);
    this.#desk.ended(this.#wayOf(call, sid), sid);
    this.#ways.delete(`${call.connection.from.name}/${sid}`);
    call.answer(Buffer.alloc(0));
  }
}

/** It can answer, and nothing else. */
class HandleCourier implements Courier {
  readonly way: Way;
  readonly pushesInAnswers = true;
  readonly speaks = false;
  readonly canExtend = false;
  readonly #call: ServerCall;

  constructor(way: Way, call: ServerCall) {
    this.way = way;
    this.#call = call;
  }

  get isOver(): boolean {
    return this.#call.isEnded;
  }

  push(): void {}
  change(): void {}
  close(): void {}
  strange(): void {}
}

class HandleAsked implements Asked {
  readonly version = 0;
  readonly #call: ServerCall;

  constructor(call: ServerCall) {
    this.#call = call;
  }

  get isCancelled(): boolean {
    return this.#call.isEnded;
  }

  answer(answer: Answer): void {
    const message = replyOf(answer);
    this.#call.answer(answer.isFuture ? futureFields(message) : message);
  }

  garbage(mischief: Mischief): void {
    const one = mischief.oneOf([...GARBAGE, ...FAILURES]);
    if (typeof one === 'number') this.#call.end(one, 'something broke');
    else this.#call.answer(one);
  }

  extend(): void {}
}
