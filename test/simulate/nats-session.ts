/** A client's connection, as nats-server has it. */
import type { CancelTimer } from '../../src/clock.ts';
import type { End, Handler } from './channel.ts';
import { isSubscribable } from './nats-interest.ts';
import { Permitted, violation } from './nats-permissions.ts';
import { noResponders } from './nats-routing.ts';
import type { NatsServerDouble } from './nats-server.ts';
import { Subscription } from './nats-subscription.ts';
import {
  type Frame,
  type Hello,
  OP_BYTES,
  Outbound,
  type Packet,
  PING,
  PONG,
  type ServerInfo,
  type ServerOp,
} from './nats-wire.ts';
import type { Node } from './world.ts';

/** After this long the server measures the round trip for the first time. [nats-server, server/client.go] */
const FIRST_PING_MS = 2_000;
/** What a SUB or a PUB may have before its payload, at most. */
const CONTROL_LINE_BYTES_MAX = 4_096;

export class Session implements Handler<Frame> {
  readonly kind = 'session';
  name = '';
  isClosed = false;
  /** It has something to write at the end of this turn. */
  isDirty = false;
  /** Accepted: it gets what the server says about itself from now on. */
  isReady = false;
  /** When the server took it, in milliseconds since the beginning. */
  readonly sinceMs: number;
  readonly #server: NatsServerDouble;
  readonly #end: End<Frame>;
  readonly #out: Outbound<Frame[number]>;
  readonly #subscriptions = new Map<number, Subscription>();
  #permitted: Permitted | null = null;
  #echo = true;
  #lastInMs = 0;
  #pingsOut = 0;
  #hasRoundTrip = false;
  /** Cut at the end of this turn: the message that was one too many may be for others, too. */
  #isTooSlow = false;
  #stopPings: CancelTimer = () => {};
  #stopWatch: CancelTimer | null = null;

  constructor(server: NatsServerDouble, end: End<Frame>) {
    this.#server = server;
    this.sinceMs = server.node.world.nowMs;
    this.#end = end;
    this.#out = new Outbound(end, server.node.random);
    this.say(server.info());
    this.#out.write();
  }

  /** The client's process. */
  get from(): Node {
    return this.#end.other.node;
  }

  get subjects(): string[] {
    return [...this.#subscriptions.values()].map(({ subject }) => subject);
  }

  has(subject: string): boolean {
    for (const one of this.#subscriptions.values()) if (one.subject === subject) return true;
    return false;
  }

  // ---- what the client sends ----------------------------------------------------------------------------

  onMessage(ops: Frame): void {
    if (this.isClosed) return;
    this.#lastInMs = this.#server.node.clock.now();
    for (const op of ops) {
      this.#take(op);
      if (this.isClosed) break;
    }
    this.#server.write();
  }

  onEnd(): void {
    this.onCut();
  }

  onCut(): void {
    if (!this.isClosed) this.#finish();
    this.#end.destroy('closed by the server');
  }

  #take(op: Frame[number]): void {
    switch (op.kind) {
      case 'message':
        this.#publish(op);
        break;
      case 'subscribe':
        this.#subscribe(new Subscription(this, op.sid, op.subject, op.queue));
        break;
      case 'unsubscribe':
        this.#unsubscribe(op.sid);
        break;
      case 'ping':
        this.#onPing();
        break;
      case 'pong':
        this.#pingsOut = 0;
        this.#hasRoundTrip = true;
        break;
      case 'connect':
        this.#connect(op);
        break;
      default: // Only servers send the others.
    }
  }

  #connect(hello: Hello): void {
    const user = this.#server.userOf(hello);
    if (user === null) {
      this.fail('Authorization Violation');
      return;
    }
    this.#permitted = new Permitted(user);
    this.#echo = hello.echo;
    this.name = hello.name;
    const { pingMs } = this.#server.options;
    const firstMs = Math.min(pingMs, FIRST_PING_MS);
    this.#pingAfter(firstMs * this.#server.node.random.between(1, 1.2));
  }

  /** The first one is answered with news of the server as well: it may have changed since the client connected. */
  #onPing(): void {
    this.#add(PONG, OP_BYTES);
    if (this.isReady) return;
    this.isReady = true;
    this.say(this.#server.info());
  }

  #publish(packet: Packet): void {
    const server = this.#server;
    const { subject, reply } = packet;
    if (subject.length + reply.length + 12 > CONTROL_LINE_BYTES_MAX) {
      this.fail('maximum control line exceeded');
      return;
    }
    if (packet.bytes.length > server.options.payloadBytesMax) {
      this.fail('Maximum Payload Violation');
      return;
    }
    if (!this.#permitted!.mayPublish(subject, server.node.clock.now())) {
      this.#error(violation('Publish', subject));
      return;
    }
    server.options.taken?.(packet);
    if (!server.routing.publish(packet, this) && reply !== '') {
      const own = server.routing.plainOf(reply, this);
      if (own !== null) this.#deliver(own.sid, noResponders(packet));
    }
  }

  #subscribe(subscription: Subscription): void {
    const { sid, subject, queue } = subscription;
    if (subject.length + queue.length + 12 > CONTROL_LINE_BYTES_MAX) {
      this.fail('maximum control line exceeded');
    } else if (!this.#permitted!.maySubscribe(subject, queue)) {
      this.#error(violation('Subscription', subject, queue));
    } else if (!isSubscribable(subject)) {
      this.#error('Invalid Subject');
    } else {
      this.#subscriptions.set(sid, subscription);
      this.#server.routing.add(subscription);
    }
  }

  #unsubscribe(sid: number): void {
    const subscription = this.#subscriptions.get(sid);
    if (subscription === undefined) return;
    this.#subscriptions.delete(sid);
    this.#server.routing.remove(subscription);
  }

  // ---- what it is sent ----------------------------------------------------------------------------------

  /** False: it does not get it. @param from Who published it, if that is another client of this server. */
  deliver(subscription: Subscription, packet: Packet, from: Session | null): boolean {
    if (this.isClosed || (from === this && !this.#echo)) return false;
    const permitted = this.#permitted!;
    if (subscription.isWide && permitted.denies(packet.subject, subscription.queue)) return false;
    this.#deliver(subscription.sid, packet);
    if (packet.reply !== '') permitted.received(packet.reply, this.#server.node.clock.now());
    return true;
  }

  say(info: ServerInfo): void {
    this.#add(info, OP_BYTES);
  }

  #deliver(sid: number, packet: Packet): void {
    this.#add({ kind: 'deliver', sid, packet }, packet.size);
  }

  #error(what: string): void {
    this.#add({ kind: 'error', what }, OP_BYTES);
  }

  #add(op: ServerOp, bytes: number): void {
    if (this.isClosed) return;
    this.#out.add(op, bytes);
    if (!this.isDirty) this.#server.willWrite(this);
    if (this.#end.unsentBytes + this.#out.bytes > this.#server.options.pendingBytesMax) {
      this.#out.drop();
      this.isClosed = true;
      this.#isTooSlow = true;
    }
  }

  write(): void {
    this.isDirty = false;
    this.#out.write();
    if (this.#isTooSlow) this.#cut();
    else if (this.#end.isCongested && this.#stopWatch === null) this.#watchWrite();
  }

  /** What is being written now must be taken in time, or the client is too slow. */
  #watchWrite(): void {
    const end = this.#end;
    const goal = end.takenBytes + end.unsentBytes;
    this.#stopWatch = this.#server.node.after(this.#server.options.writeMs, () => {
      this.#stopWatch = null;
      if (this.isClosed) return;
      if (end.takenBytes < goal) this.#cut();
      else if (end.isCongested) this.#watchWrite();
    });
  }

  #pingAfter(ms: number): void {
    this.#stopPings = this.#server.node.after(ms, () => {
      this.#ping();
    });
  }

  /** A client that sends anything is not asked whether it is there. */
  #ping(): void {
    const { node, options } = this.#server;
    const isQuiet = node.clock.now() - this.#lastInMs >= options.pingMs;
    if (isQuiet || !this.#hasRoundTrip) {
      if (this.#pingsOut + 1 > options.pingsOutMax) {
        this.fail('Stale Connection');
        this.#server.write();
        return;
      }
      this.#pingsOut++;
      this.#add(PING, OP_BYTES);
      this.#server.write();
    }
    this.#pingAfter(options.pingMs);
  }

  // ---- its end ------------------------------------------------------------------------------------------

  /** Tells the client why, and closes. */
  fail(why: string): void {
    this.#error(why);
    this.close();
  }

  /** What it was sent still arrives. */
  close(): void {
    if (this.isClosed) return;
    this.#out.write();
    this.#end.end();
    this.#finish();
  }

  #cut(): void {
    this.#isTooSlow = false;
    this.#finish();
    this.#end.destroy('closed by the server');
  }

  #finish(): void {
    this.isClosed = true;
    this.#stopPings();
    this.#stopWatch?.();
    this.#server.closed(this, this.#subscriptions.values());
    this.#subscriptions.clear();
  }
}
