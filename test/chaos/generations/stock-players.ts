/**
 * Players as stock clients are: each connects again the moment that its connection has ended, without any jitter. They
 * know no code of the gateway, and count how often they were cut, when they came back, and what became of their requests.
 */
import net from 'node:net';

import { message, packet } from '../../border/client.ts';
import { eventually } from '../../support/wait.ts';

const [HANDSHAKE, ACK, DATA] = [1, 2, 4];
const GREETING = packet(HANDSHAKE, Buffer.from('{"sys":{"type":"stock","version":"1"},"user":{}}'));
/** After an attempt that came to nothing. */
const AGAIN_MS = 200;
/** Connections that are made at the same time at first. */
const AT_ONCE = 30;

/** Requests of all players. */
type Asked = {
  sent: number;
  once: number;
  /** Answered twice, or nobody's. */
  strays: number;
  /** Their connection has ended before their answer came. */
  cutOff: number;
};

class Player {
  readonly #port: number;
  readonly #back: number[];
  readonly #asked: Asked;
  readonly #open = new Set<number>();
  #socket: net.Socket | null = null;
  #isOver = false;
  #lastId = 1;
  isServed = false;
  cuts = 0;

  /** @param back Times at which players came back. */
  constructor(port: number, back: number[], asked: Asked) {
    this.#port = port;
    this.#back = back;
    this.#asked = asked;
  }

  connect(): void {
    if (this.#isOver) return;
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (data) => {
      this.#take(socket, data);
    });
    socket.on('close', () => {
      this.#asked.cutOff += this.#open.size;
      this.#open.clear();
      const wasServed = this.isServed;
      this.isServed = false;
      if (wasServed) this.cuts++;
      if (wasServed) this.connect();
      else setTimeout(() => this.connect(), AGAIN_MS).unref();
    });
    socket.write(GREETING);
  }

  /** What comes is short, and so in one piece. */
  #take(socket: net.Socket, data: Buffer): void {
    if (data[0] === HANDSHAKE)
      socket.write(Buffer.concat([packet(ACK!), packet(DATA!, message(1, 'a.b', Buffer.from('{}')))])); // prettier-ignore
    else if (data[0] === DATA && !this.isServed) {
      this.isServed = true;
      if (this.cuts > 0) this.#back.push(performance.now());
    } else if (data[0] === DATA) this.#answered(data);
  }

  /** Answers may come in one piece; ids take one byte. */
  #answered(data: Buffer): void {
    for (let at = 0; at < data.length; at += 4 + data.readUIntBE(at + 1, 3)) {
      if (data[at] !== DATA) continue;
      if (this.#open.delete(data[at + 5]!)) this.#asked.once++;
      else this.#asked.strays++;
    }
  }

  /** Sends a request, if it is there. */
  ask(route: string): void {
    if (!this.isServed) return;
    this.#lastId = (this.#lastId % 100) + 1;
    if (this.#open.has(this.#lastId)) return;
    this.#open.add(this.#lastId);
    this.#asked.sent++;
    this.#socket!.write(packet(DATA!, message(this.#lastId, route, Buffer.from('{}'))));
  }

  leave(): void {
    this.#isOver = true;
    this.#socket?.destroy();
  }
}

export class StockPlayers implements Disposable {
  readonly #players: readonly Player[];
  /** When each came back, on the clock of this process. */
  readonly #back: number[];
  readonly asked: Asked;
  #asking: NodeJS.Timeout | undefined;

  private constructor(players: readonly Player[], back: number[], asked: Asked) {
    this.#players = players;
    this.#back = back;
    this.asked = asked;
  }

  /** So many are there and served. */
  static async start(port: number, count: number): Promise<StockPlayers> {
    const back: number[] = [];
    const asked: Asked = { sent: 0, once: 0, strays: 0, cutOff: 0 };
    const players = Array.from({ length: count }, () => new Player(port, back, asked));
    const rest = [...players];
    const come = async (): Promise<void> => {
      for (let one = rest.shift(); one !== undefined; one = rest.shift()) {
        const player = one;
        player.connect();
        await eventually(() => player.isServed, 'a player to be served');
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, come));
    return new StockPlayers(players, back, asked);
  }

  /** Each of the first `count` sends one request. */
  ask(count: number, route: string): void {
    for (const player of this.#players.slice(0, count)) player.ask(route);
  }

  /** All but the first `count` ask, one after the other, so many a second. */
  askOn(count: number, route: string, perSecond: number): void {
    let next = count;
    this.#asking = setInterval(() => {
      for (let left = perSecond / 10; left > 0; left--) {
        this.#players[next]!.ask(route);
        next = next + 1 < this.#players.length ? next + 1 : count;
      }
    }, 100);
  }

  stopAsking(): void {
    clearInterval(this.#asking);
  }

  /** How many are served, as far as they know. */
  get served(): number {
    return this.#players.filter(({ isServed }) => isServed).length;
  }

  get cuts(): number[] {
    return this.#players.map(({ cuts }) => cuts);
  }

  /** The most that came back within any second. */
  get backPerSecond(): number {
    return mostInASecond(this.#back);
  }

  [Symbol.dispose](): void {
    this.stopAsking();
    for (const player of this.#players) player.leave();
  }
}

/** @param times In milliseconds, in order. */
export function mostInASecond(times: readonly number[]): number {
  let most = 0;
  for (let first = 0, i = 0; i < times.length; i++) {
    while (times[i]! - times[first]! >= 1_000) first++;
    most = Math.max(most, i - first + 1);
  }
  return most;
}
