/** A connection between two servers of a cluster: what one's clients want, and the messages for them. */
import type { CancelTimer } from '../../src/clock.ts';
import type { End, Handler } from './channel.ts';
import type { NatsServerDouble } from './nats-server.ts';
import { Subscription } from './nats-subscription.ts';
import { OP_BYTES, Outbound, type Packet, PING, PONG, type RouteOp } from './nats-wire.ts';

/** [nats-server, server/route.go, server/client.go] */
const FIRST_PING_MS = 1_000;
const PING_MS_MAX = 30_000;

export class Route implements Handler<RouteOp[]> {
  readonly kind = 'route';
  /** Of the other server; '' until it has said so. */
  server = '';
  connectUrls: readonly string[] = [];
  isClosed = false;
  isDirty = false;
  /** For the message that is being published: queue groups of which one member is there. */
  readonly queues: string[] = [];
  isChosen = false;
  readonly #server: NatsServerDouble;
  readonly #end: End<RouteOp[]>;
  readonly #out: Outbound<RouteOp>;
  readonly #interest = new Map<string, Subscription>();
  #pingsOut = 0;
  #stopPings: CancelTimer = () => {};
  #stopWatch: CancelTimer | null = null;

  constructor(server: NatsServerDouble, end: End<RouteOp[]>) {
    this.#server = server;
    this.#end = end;
    this.#out = new Outbound(end, server.node.random);
    this.#pingAfter(FIRST_PING_MS * server.node.random.between(1, 1.2));
  }

  onMessage(ops: RouteOp[]): void {
    if (this.isClosed) return;
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

  #take(op: RouteOp): void {
    switch (op.kind) {
      case 'routed':
        this.#server.routing.publishRouted(op.packet, op.queues);
        break;
      case 'interest':
        this.#onInterest(op);
        break;
      case 'hello':
        this.connectUrls = op.isLameDuck ? [] : op.connectUrls;
        if (this.server === '') {
          this.server = op.server;
          this.#server.routed(this);
        } else this.#server.announce();
        break;
      case 'ping':
        this.add(PONG, OP_BYTES);
        break;
      case 'pong':
        this.#pingsOut = 0;
    }
  }

  #onInterest({ subject, queue, weight }: RouteOp & { kind: 'interest' }): void {
    const key = keyOf(subject, queue);
    const known = this.#interest.get(key);
    if (known !== undefined && weight > 0) known.weight = weight;
    else if (known !== undefined) {
      this.#interest.delete(key);
      this.#server.routing.removeRemote(known);
    } else if (weight > 0) {
      const subscription = new Subscription(this, 0, subject, queue);
      subscription.weight = weight;
      this.#interest.set(key, subscription);
      this.#server.routing.addRemote(subscription);
    }
  }

  /** To be sent over it, for `queue` if that is not ''. */
  choose(queue: string): void {
    this.isChosen = true;
    if (queue !== '') this.queues.push(queue);
  }

  forward(packet: Packet): void {
    const queues = this.queues.splice(0);
    this.isChosen = false;
    this.add({ kind: 'routed', packet, queues }, packet.size);
  }

  add(op: RouteOp, bytes: number): void {
    if (this.isClosed) return;
    this.#out.add(op, bytes);
    if (!this.isDirty) this.#server.willWrite(this);
  }

  write(): void {
    this.isDirty = false;
    this.#out.write();
    if (this.#end.isCongested && this.#stopWatch === null) this.#watchWrite();
  }

  /** A route is given up only if nothing at all was taken in time. */
  #watchWrite(): void {
    const before = this.#end.takenBytes;
    this.#stopWatch = this.#server.node.after(this.#server.options.writeMs, () => {
      this.#stopWatch = null;
      if (this.isClosed || !this.#end.isCongested) return;
      if (this.#end.takenBytes === before) this.cut();
      else this.#watchWrite();
    });
  }

  #pingAfter(ms: number): void {
    const { options, node } = this.#server;
    this.#stopPings = node.after(ms, () => {
      if (this.#pingsOut + 1 > options.pingsOutMax) {
        this.cut();
        return;
      }
      this.#pingsOut++;
      this.add(PING, OP_BYTES);
      this.#server.write();
      this.#pingAfter(Math.min(options.pingMs, PING_MS_MAX));
    });
  }

  /** What it was given still arrives. */
  close(): void {
    if (this.isClosed) return;
    this.#out.write();
    this.#end.end();
    this.#finish();
  }

  cut(): void {
    this.#finish();
    this.#end.destroy('closed by the server');
  }

  #finish(): void {
    this.isClosed = true;
    this.#stopPings();
    this.#stopWatch?.();
    for (const subscription of this.#interest.values())
      this.#server.routing.removeRemote(subscription);
    this.#interest.clear();
    this.#server.unrouted(this);
  }
}

export function keyOf(subject: string, queue: string): string {
  return queue === '' ? subject : `${subject} ${queue}`;
}
