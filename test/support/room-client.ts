/** A client in rooms whose changes are numbered, which holds what it gets against what it has. */
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import {
  decodeMessage,
  encodeRequest,
  idOfRaw,
  Message,
  MessageKind,
  rawIdOf,
} from '../../src/protocol/message.ts';
import { packetOffset, PacketType } from '../../src/protocol/packet.ts';
import { PacketReader } from '../../src/protocol/packet-reader.ts';
import type { Random } from '../../src/random.ts';
import { ACK, pack } from './raw.ts';

/** After a refusal, as a client would. */
const AGAIN_MS = 20;

type View = { epoch: string; n: number };
type State = View & { readonly room: string; readonly code: number };

export class RoomClient {
  /** What it has, of each room that it is in. */
  readonly views = new Map<string, View>();
  /** Changes that never came, that came twice, and those of rooms that it is not in. */
  readonly wrong: string[] = [];
  /** Pushes on `pith.gap`. */
  readonly gaps: { group: string; from: string; to: string }[] = [];
  changes = 0;
  snapshots = 0;
  refused = 0;
  /** Changes of a publisher that has begun anew. */
  restarts = 0;
  /** Those of them that `pith.gap` announced. */
  announced = 0;
  readonly #socket: net.Socket;
  readonly #random: Random;
  readonly #rooms: readonly string[];
  /** As the session's data has it. */
  #room = '';
  #nextId = 1;
  readonly #waiting = new Map<number, (state: State) => void>();
  #greeted: () => void = () => {};

  private constructor(socket: net.Socket, rooms: readonly string[], random: Random) {
    this.#socket = socket;
    this.#rooms = rooms;
    this.#random = random;
    const reader = new PacketReader(0xffffff, (type, body) => {
      if (type === PacketType.HANDSHAKE) this.#greeted();
      else if (type === PacketType.DATA) this.#take(Buffer.from(body));
    });
    socket.on('data', (bytes) => reader.push(bytes));
    socket.on('error', () => {});
    socket.on('close', () => this.wrong.push('the connection was closed'));
  }

  /** @param user The handshake's block. */
  static async connect(
    port: number,
    user: object,
    rooms: readonly string[],
    random: Random,
  ): Promise<RoomClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new RoomClient(socket, rooms, random);
    await once(socket, 'connect');
    const greeted = new Promise<void>((resolve) => {
      client.#greeted = resolve;
    });
    socket.write(pack(PacketType.HANDSHAKE, JSON.stringify({ sys: { type: 't' }, user })));
    await greeted;
    socket.write(ACK);
    return client;
  }

  /** Asks for the room that its session names, now and then twice at once; goes on to another, and leaves some. */
  async joinOne(): Promise<void> {
    const room = this.#room;
    const route = room === '' ? 'nats.state' : `${room.split('.')[0]}.state`;
    // What waits for its turn would find another room in the session's data.
    const twice = room !== '' && !room.startsWith('http') && this.#random.number() < 0.1;
    const next = twice ? room : this.#pick(this.#rooms);
    const others = [...this.views.keys()].filter((one) => one !== room);
    const leave = others.length > 2 && this.#random.number() < 0.8 ? this.#pick(others) : '';
    const also = twice ? this.#ask(route, { room }) : null;
    const answer = await this.#ask(route, { room, next, leave });
    await also;
    if (answer.code !== 200) {
      this.refused++;
      await pause(AGAIN_MS);
      return;
    }
    this.#room = next;
  }

  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #pick(from: readonly string[]): string {
    return from[Math.floor(this.#random.number() * from.length)]!;
  }

  #ask(route: string, body: { room: string; next?: string; leave?: string }): Promise<State> {
    const id = this.#nextId++;
    const encoded = encodeRequest(rawIdOf(id), route, Buffer.from(JSON.stringify(body)))!;
    const { promise, resolve } = Promise.withResolvers<State>();
    // Called while the answer is read: what is behind it in the same bytes comes after.
    this.#waiting.set(id, (state) => {
      if (state.code === 200 && body.room !== '') {
        this.snapshots++;
        this.views.set(state.room, { epoch: state.epoch, n: state.n });
        if (body.leave) this.views.delete(body.leave);
      }
      resolve(state);
    });
    this.#socket.write(encoded.subarray(packetOffset(encoded)));
    return promise;
  }

  #take(bytes: Buffer): void {
    const message = new Message();
    const fault = decodeMessage(bytes, () => undefined, message);
    if (fault !== null) throw new Error(`the gateway sent a message that is ${fault}`);
    const body = JSON.parse(message.body.toString()) as unknown;
    if (message.kind === MessageKind.RESPONSE) {
      const id = idOfRaw(message.rawId);
      this.#waiting.get(id)?.(body as State);
      this.#waiting.delete(id);
    } else if (message.route === 'pith.gap') {
      this.gaps.push(body as (typeof this.gaps)[number]);
    } else {
      this.#change(body as State);
    }
  }

  #change({ room, epoch, n }: State): void {
    const view = this.views.get(room);
    this.changes++;
    if (view === undefined) {
      this.wrong.push(`${room} ${epoch}.${n}: it is not in that room`);
      return;
    }
    const what = `${room} ${epoch}.${n} after ${view.epoch}.${view.n}`;
    if (epoch !== view.epoch) {
      this.restarts++;
      const gap = this.gaps.at(-1);
      if (gap?.group === room && gap.to === `${epoch}.${n - 1}`) this.announced++;
    } else if (n <= view.n) {
      this.wrong.push(`${what}: twice`);
    } else if (n > view.n + 1) {
      this.wrong.push(`${what}: a gap`);
    }
    view.epoch = epoch;
    view.n = n;
  }
}
