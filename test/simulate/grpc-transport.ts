/** One HTTP/2 connection of a client, and the calls on it. */
import { status } from '@grpc/grpc-js';

import type { End } from './channel.ts';
import type { CallHolder, ClientCall } from './grpc-call.ts';
import { Outgoing, sizeOf, type ToClient, type Wire } from './grpc-wire.ts';

/** Asked for a sign of life and not answered; no more are sent. */
const ASKED_MAX = 2;

/** The channel that it is of. */
export interface TransportUser {
  /** The server has said that it speaks HTTP/2. */
  opened(transport: ClientTransport): void;
  /** It takes no more calls, or is lost. */
  left(transport: ClientTransport): void;
  /** The server asks for another connection. */
  goaway(transport: ClientTransport, why: string): void;
  streamsMax(transport: ClientTransport, max: number): void;
  /** The server has not looked at the call. */
  again(call: ClientCall): void;
}

export class ClientTransport implements CallHolder {
  readonly outgoing: Outgoing;
  /** Bytes that have come. */
  heard = 0;
  readonly #end: End<Wire>;
  readonly #user: TransportUser;
  readonly #calls = new Map<number, ClientCall>();
  /** For want of streams. */
  readonly #waiting = new Set<ClientCall>();
  #streamsMax = Infinity;
  #nextId = 1;
  #asked = 0;
  /** What is called at the acknowledgements to come. */
  readonly #acks: (() => void)[] = [];
  #isLeaving = false;
  #isLost = false;

  constructor(end: End<Wire>, user: TransportUser) {
    this.#end = end;
    this.#user = user;
    this.outgoing = new Outgoing(end);
    end.handler = {
      onMessage: (wire) => {
        this.heard += sizeOf(wire);
        this.#onMessage(wire as ToClient);
      },
      onEnd: () => {
        this.destroy();
      },
      onCut: () => {
        this.#lost('read ECONNRESET');
      },
      onRoom: () => {
        this.outgoing.onRoom();
      },
    };
  }

  begin(call: ClientCall): void {
    if (call.isEnded) {
      this.#orphan(call);
      return;
    }
    if (this.#calls.size >= this.#streamsMax) {
      call.holder = this;
      this.#waiting.add(call);
      return;
    }
    const id = this.#nextId;
    this.#nextId += 2;
    this.#calls.set(id, call);
    this.outgoing.send(call.begin(this, id));
    call.begun();
    if (id > 1) return;
    this.#end.node.clock.soon(() => {
      if (!this.#isLost) this.#user.streamsMax(this, this.#streamsMax);
    });
  }

  /** It was cancelled in the turn in which it was made: grpc-js still opens it, and forgets it. */
  #orphan(call: ClientCall): void {
    this.outgoing.send(call.begin(this, this.#nextId));
    this.#nextId += 2;
  }

  /** The client has given it up. */
  reset({ id }: ClientCall): void {
    if (this.#calls.has(id)) this.outgoing.send({ kind: 'reset', id });
  }

  /** It has ended. */
  done(call: ClientCall): void {
    if (!this.#waiting.delete(call)) this.#calls.delete(call.id);
    const [next] = this.#waiting;
    if (next !== undefined && this.#calls.size < this.#streamsMax) {
      this.#waiting.delete(next);
      this.begin(next);
    }
    if (this.#isLeaving) this.#closeIfIdle();
  }

  ask(): void {
    if (this.#isLost || this.#asked >= ASKED_MAX) return;
    this.#asked++;
    this.#acks.push(() => {
      this.#asked--;
    });
    this.outgoing.send({ kind: 'ask' });
  }

  roundTrip(done: () => void): void {
    if (this.#isLost) {
      done();
      return;
    }
    this.#acks.push(done);
    this.outgoing.send({ kind: 'ask' });
  }

  /** Takes no more calls, and ends with those that are there. */
  leave(): void {
    this.#isLeaving = true;
    this.#closeIfIdle();
    if (!this.#isLost) this.outgoing.send({ kind: 'goaway' });
  }

  /** At once, with what is in flight. */
  destroy(): void {
    if (this.#isLost) return;
    this.#end.destroy('closed by the client');
    this.#lost('Connection dropped');
  }

  #closeIfIdle(): void {
    if (this.#isLost || this.#calls.size > 0 || this.#waiting.size > 0) return;
    this.#isLost = true;
    this.#end.destroy('closed by the client');
  }

  #lost(details: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    const calls = [...this.#calls.values(), ...this.#waiting];
    this.#calls.clear();
    this.#waiting.clear();
    if (!this.#isLeaving) this.#user.left(this);
    // What has come already is read first.
    this.#end.node.clock.soon(() => {
      for (const call of calls) call.finish(status.UNAVAILABLE, details);
    });
  }

  #onMessage(wire: ToClient): void {
    if (this.#isLost) return;
    if (wire.kind === 'settings') {
      this.#streamsMax = wire.streamsMax;
      this.#user.opened(this);
    } else if (wire.kind === 'ack') this.#acks.shift()!();
    else if (wire.kind === 'goaway') this.#goaway(wire.why);
    else {
      const call = this.#calls.get(wire.id);
      if (call === undefined) return;
      if (wire.kind === 'data') call.arrived(wire.message);
      else if (wire.kind === 'credit') call.onCredit(wire.bytes);
      else if (wire.kind === 'refused') this.#refused(call);
      else call.onStatus(wire.code, wire.details);
    }
  }

  #refused(call: ClientCall): void {
    this.#calls.delete(call.id);
    if (call.onRefused()) this.#user.again(call);
    if (this.#isLeaving) this.#closeIfIdle();
  }

  #goaway(why: string): void {
    if (this.#isLeaving) {
      this.#user.goaway(this, why);
      return;
    }
    this.#isLeaving = true;
    // Not sent yet: they go to the next connection.
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#user.left(this);
    // Whoever has not called on it does not know it.
    if (this.#nextId > 1) this.#user.goaway(this, why);
    for (const call of waiting) this.#user.again(call);
    this.#closeIfIdle();
  }
}
