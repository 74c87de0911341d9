/** Players with our own client, and a backend that has pushes kept for them: who got what, as the players count it. */
import type { NatsConnection } from 'nats';

import { PithClient } from '../../../src/client/client.ts';
import { headersOf } from '../../support/nats-backend.ts';
import { eventually } from '../../support/wait.ts';

/** How long a publisher waits for the stream before it publishes again. */
const STORED_MS = 2_000;
/** Longer than any way that a push may take. */
const ARRIVE_MS = 60_000;

export type Counts = {
  readonly pushes: number;
  readonly lost: number;
  readonly twice: number;
  /** Pushes that came before one with a lower number. */
  readonly disordered: number;
  /** Beyond the first of each player. */
  readonly logins: number;
  /** Times that a player has come back to its session. */
  readonly resumed: number;
  readonly asked: number;
  readonly refused: number;
};

class Player {
  readonly uid: string;
  readonly #client: PithClient;
  /** Numbers of the pushes that came, in their order. */
  readonly got: number[] = [];
  /** Of the last one that was stored. */
  last = 0;
  /** When all up to that are. */
  stored: Promise<void> = Promise.resolve();
  logins = 0;
  resumed = 0;
  asked = 0;
  refused = 0;

  constructor(url: string, uid: string) {
    this.uid = uid;
    this.#client = new PithClient(url, { reconnect: { baseMs: 200, capMs: 1_000 } });
    this.#client.onPush<{ n: number }>('onMail', ({ n }) => void this.got.push(n));
    this.#client.onState(({ state, resumed }) => {
      if (state !== 'open') return;
      if (resumed) this.resumed++;
      else this.#login();
    });
  }

  async start(): Promise<void> {
    await this.#client.connect();
    await eventually(() => this.logins > 0, `${this.uid} to be logged in`);
  }

  #login(): void {
    this.#client.request('game.door.enter', { uid: this.uid }).then(
      () => void this.logins++,
      () => {},
    );
  }

  /** A request, as a player sends them; while the client is not connected, none. */
  ask(): void {
    if (this.#client.state !== 'open') return;
    this.asked++;
    this.#client.request('game.room.look', {}).catch(() => void this.refused++);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

export class Players implements AsyncDisposable {
  readonly #players: readonly Player[];
  readonly #nc: NatsConnection;
  #isPublishing = false;
  #published: Promise<void> = Promise.resolve();

  private constructor(players: readonly Player[], nc: NatsConnection) {
    this.#players = players;
    this.#nc = nc;
  }

  /** So many are there and logged in. */
  static async start(url: string, count: number, nc: NatsConnection): Promise<Players> {
    const players = Array.from({ length: count }, (_, i) => new Player(url, `u${i}`));
    // A few at a time: a crowd that comes at once is another test.
    const rest = [...players];
    const come = async (): Promise<void> => {
      for (let one = rest.shift(); one !== undefined; one = rest.shift()) await one.start();
    };
    await Promise.all(Array.from({ length: 16 }, come));
    return new Players(players, nc);
  }

  /** From now on each of them has pushes kept, so many a second in all, and asks as often. */
  publish(perSecond: number): void {
    this.#isPublishing = true;
    this.#published = this.#publish(perSecond);
  }

  async #publish(perSecond: number): Promise<void> {
    const beganAt = performance.now();
    for (let i = 0; ; i++) {
      if (!this.#isPublishing) break;
      const player = this.#players[i % this.#players.length]!;
      player.ask();
      const n = ++player.last;
      // In their order: one that is published again would come after the next.
      player.stored = player.stored.then(() => this.#keep(player.uid, n));
      const waitMs = beganAt + (i * 1_000) / perSecond - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    await Promise.all(this.#players.map(({ stored }) => stored));
  }

  /** Until it is stored; the stream knows what comes again. */
  async #keep(uid: string, n: number): Promise<void> {
    const headers = headersOf({ 'Pith-Route': 'onMail', 'Nats-Msg-Id': `${uid}.${n}` });
    await eventually(async () => {
      try {
        const options = { headers, timeout: STORED_MS };
        const ack = await this.#nc.request(`pith.keep.user.${uid}`, `{"n":${n}}`, options);
        return ack.json<{ seq?: number }>().seq !== undefined;
      } catch {
        return false;
      }
    }, `push ${n} for ${uid} to be stored`);
  }

  /** Nothing more is published; what was stored has its time. */
  async end(): Promise<Counts> {
    this.#isPublishing = false;
    await this.#published;
    const haveAll = (): boolean => this.#players.every(({ got, last }) => got.includes(last));
    await eventually(haveAll, 'the last push of each', ARRIVE_MS).catch(() => {});
    const sum = (of: (player: Player) => number): number =>
      this.#players.reduce((all, player) => all + of(player), 0);
    return {
      pushes: sum(({ last }) => last),
      lost: sum(({ got, last }) => last - new Set(got).size),
      twice: sum(({ got }) => got.length - new Set(got).size),
      disordered: sum(({ got }) => got.filter((n, i) => i > 0 && n < got[i - 1]!).length),
      logins: sum(({ logins }) => logins - 1),
      resumed: sum(({ resumed }) => resumed),
      asked: sum(({ asked }) => asked),
      refused: sum(({ refused }) => refused),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isPublishing = false;
    await Promise.all(this.#players.map((player) => player.close()));
  }
}
