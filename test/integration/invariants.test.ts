/** Every request id is answered exactly once, whatever dies; and a request reaches backends at most once. */
import { describe, expect, test, vi } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type GrpcChat, startGrpcChat } from '../support/go.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { eventually, SOON } from '../support/wait.ts';

const PLENTY = `
limits: { messages_per_second: 1000000, burst: 1000000 }
sessions: { groups: 10000 }
log: { level: info }
`;

type Body = Record<string, unknown>;

/** A client that asks much, and counts the answers to each id. */
class Player {
  readonly client: TestClient;
  readonly name: string;
  /** What is asked, and the answer that is the right one. */
  readonly #ask: (name: string, marker: string) => Body;
  readonly #right: (name: string, marker: string) => Body;
  readonly #route: string;
  readonly #markers = new Map<number, string>();
  readonly answers = new Map<number, Body[]>();
  #read = 0;

  constructor(client: TestClient, name: string, talk: Talk) {
    this.client = client;
    this.name = name;
    this.#route = talk.route;
    this.#ask = talk.ask;
    this.#right = talk.right;
  }

  send(count: number, route = this.#route): void {
    for (let i = 0; i < count; i++) {
      const marker = `${this.name}-${this.#markers.size}`;
      const id = this.client.send(route, this.#ask(this.name, marker));
      this.#markers.set(id, marker);
      // A notify with the same marker: if it were answered, it would be seen as an answer to id 0.
      if (i % 10 === 0) this.client.notify(route, this.#ask(this.name, marker));
    }
  }

  /** Ids with an answer. */
  get answered(): number {
    for (; this.#read < this.client.received.length; this.#read++) {
      const item = this.client.received[this.#read]!;
      if (item.kind !== 'response') continue;
      const body = JSON.parse(item.body.toString()) as Body;
      const known = this.answers.get(item.id);
      if (known === undefined) this.answers.set(item.id, [body]);
      else known.push(body);
    }
    return this.answers.size;
  }

  get asked(): number {
    return this.#markers.size;
  }

  async allAnswered(): Promise<void> {
    await this.client.wait(
      () => (this.answered >= this.asked ? true : undefined),
      `all answers of ${this.name}`,
    );
  }

  /** What is wrong with the answers so far: none, a second one, another's, or one to no question. */
  wrong(codes: readonly number[]): string[] {
    const wrong: string[] = [];
    for (const id of this.answers.keys())
      if (!this.#markers.has(id)) wrong.push(`${this.name}: an answer to ${id}, never asked`);
    for (const [id, marker] of this.#markers) {
      const answers = this.answers.get(id) ?? [];
      if (answers.length !== 1) wrong.push(`${marker} was answered ${answers.length} times`);
      const right = JSON.stringify(this.#right(this.name, marker));
      for (const body of answers) {
        if (JSON.stringify(body) === right || codes.includes(body['code'] as number)) continue;
        wrong.push(`${marker} got ${JSON.stringify(body)}`);
      }
    }
    return wrong;
  }

  /** How many got the right answer and no error. */
  get right(): number {
    let right = 0;
    for (const [id, marker] of this.#markers) {
      const answer = JSON.stringify(this.answers.get(id)?.[0]);
      if (answer === JSON.stringify(this.#right(this.name, marker))) right++;
    }
    return right;
  }

  /** Asks until the right answer comes, as a patient user does. */
  async isServed(): Promise<void> {
    await eventually(async () => {
      const before = this.right;
      this.send(1);
      await this.allAnswered();
      return this.right > before;
    }, `${this.name} to be served again`);
  }
}

type Talk = {
  route: string;
  ask: (name: string, marker: string) => Body;
  right: (name: string, marker: string) => Body;
};

/** The Go chat answers a join with the room that was asked for. */
const CHAT: Talk = {
  route: 'chat.room.join',
  ask: (name, room) => ({ name, room }),
  right: (_, room) => ({ code: 200, room }),
};

const ECHO: Talk = {
  route: 'game.any',
  ask: (_, marker) => ({ marker }),
  right: (_, marker) => ({ marker }),
};

/** Players on both transports. */
class Crowd implements AsyncDisposable {
  readonly players: readonly Player[];

  private constructor(players: readonly Player[]) {
    this.players = players;
  }

  static async join(gateway: TestGateway, size: number, talk: Talk): Promise<Crowd> {
    const players: Player[] = [];
    for (let i = 0; i < size; i++) {
      const client = await TestClient.connect(gateway.port, i % 2 === 0 ? 'tcp' : 'ws');
      players.push(new Player(client, `p${i}`, talk));
    }
    return new Crowd(players);
  }

  send(each: number, route?: string): void {
    for (const player of this.players) player.send(each, route);
  }

  /** Waits until some, not all, of what was sent is answered: the middle of it. */
  async someAnswered(): Promise<void> {
    await Promise.race(
      this.players.map((player) => {
        const before = player.answered;
        return player.client.wait(
          () => (player.answered > before ? true : undefined),
          `an answer to ${player.name}`,
        );
      }),
    );
  }

  async allAnswered(): Promise<void> {
    await Promise.all(this.players.map((player) => player.allAnswered()));
  }

  get right(): number {
    return this.players.reduce((sum, player) => sum + player.right, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.players.map(({ client }) => client[Symbol.asyncDispose]()));
  }
}

const lateReplies = (gateway: TestGateway): number =>
  gateway.count('pith_late_replies_total', 'grpc');

/**
 * Everything is answered once and rightly, or by one of these codes; then everybody is served again. What is
 * answered last comes behind any second answer that was sent before.
 */
async function expectWhole(crowd: Crowd, codes: readonly number[] = [503, 504]): Promise<void> {
  await crowd.allAnswered();
  await Promise.all(crowd.players.map((player) => player.isServed()));
  expect(crowd.players.flatMap((player) => player.wrong(codes)).slice(0, 5)).toEqual([]);
}

/** No two requests with the same "<sid>:<seq>", at whichever instance. */
function expectAtMostOnce(...backends: GrpcBackend[]): void {
  const keys = backends.flatMap(({ requests }) => requests.map(({ key }) => key));
  expect(new Set(keys).size).toBe(keys.length);
}

describe('every request is answered exactly once', () => {
  test('while instances of the chat in Go are killed and started again', async () => {
    const chats: GrpcChat[] = [await startGrpcChat(), await startGrpcChat(), await startGrpcChat()];
    try {
      const addresses = chats.map(({ address }) => address);
      await using gateway = await startGateway(`${PLENTY}
backends: { chat: { grpc: "ipv4:${addresses.join(',')}" } }
routes: [{ match: "chat.>", backend: chat, timeout: 60s }]
`);
      await using crowd = await Crowd.join(gateway, 12, CHAT);
      for (const victim of [0, 1, 0]) {
        crowd.send(100);
        await crowd.someAnswered();
        chats[victim]!.kill('SIGKILL');
        await chats[victim]!.exited;
        crowd.send(50);
        chats[victim] = await startGrpcChat({ ADDR: addresses[victim]! });
        await crowd.allAnswered();
      }
      await expectWhole(crowd);
      // Most of it was served: an error was the exception.
      expect(crowd.right).toBeGreaterThan(2_500);
    } finally {
      await Promise.all(chats.map((chat) => chat[Symbol.asyncDispose]()));
    }
  });

  test('while the only instance is away, and then back', async () => {
    let chat = await startGrpcChat();
    const ADDR = chat.address;
    await using gateway = await startGateway(`${PLENTY}
backends: { chat: { grpc: "${ADDR}" } }
routes: [{ match: "chat.>", backend: chat, timeout: 60s }]
`);
    await using crowd = await Crowd.join(gateway, 8, CHAT);
    crowd.send(300);
    await crowd.someAnswered();
    chat.kill('SIGKILL');
    await chat.exited;
    crowd.send(50);
    await crowd.allAnswered();
    chat = await startGrpcChat({ ADDR });
    await using _chat = chat;
    await expectWhole(crowd, [503]);
  });

  test('while an instance is stopped past the timeout, whose late answers are dropped and counted', async () => {
    await using first = await startGrpcChat();
    await using second = await startGrpcChat();
    await using gateway = await startGateway(`${PLENTY}
backends: { chat: { grpc: "ipv4:${first.address},${second.address}" } }
routes: [{ match: "chat.>", backend: chat, timeout: 400ms }]
`);
    await using crowd = await Crowd.join(gateway, 12, CHAT);
    crowd.send(200);
    await crowd.allAnswered();
    await first.freeze();
    crowd.send(60);
    await crowd.allAnswered();
    const timeouts = gateway.count('pith_requests_total', 'chat', 'TIMEOUT');
    expect(timeouts).toBeGreaterThan(0);
    first.kill('SIGCONT');
    // Each of them is answered now, and nobody waits any more.
    await vi.waitFor(() => {
      expect(lateReplies(gateway)).toBeGreaterThanOrEqual(timeouts);
    }, SOON);
    await expectWhole(crowd);
  });

  test('by backends that answer twice, answer unknown numbers, answer late, or not at all', async () => {
    let extra = 0;
    const late: Asked[] = [];
    const handler = (asked: Asked): void => {
      if (asked.request.notify) {
        asked.answer({ marker: 'to a notify' });
        extra++;
        return;
      }
      if (asked.route === 'game.late') {
        late.push(asked);
        return;
      }
      asked.answer(asked.body);
      if (asked.request.seq % 3 === 0) {
        asked.answer({ marker: 'second' });
        asked.link!.send({ id: asked.id + 1_000_000, reply: { body: { text: '"unknown"' } } });
        extra += 2;
      }
    };
    await using a = await GrpcBackend.start({ instance: 'a', handler });
    await using b = await GrpcBackend.start({ instance: 'b', handler });
    await using gateway = await startGateway(`${PLENTY}
backends: { game: { grpc: "ipv4:${a.address},${b.address}" } }
routes:
  - { match: game.late, backend: game, timeout: 300ms }
  - { match: "game.>", backend: game, timeout: 15s }
`);
    await using crowd = await Crowd.join(gateway, 12, ECHO);
    crowd.send(150);
    crowd.send(10, 'game.late');
    crowd.send(150);
    await crowd.allAnswered();
    expect(crowd.right).toBe(12 * 300);
    expect(gateway.count('pith_requests_total', 'game', 'TIMEOUT')).toBe(120);
    // The gateway has said of each that nobody waits for it.
    for (const backend of [a, b])
      await backend.wait(
        () =>
          late.every((one) => one.link?.backend !== backend || one.cancelled) ? true : undefined,
        'cancels of all that is late',
      );
    for (const asked of late) asked.answer(asked.body);
    await expectWhole(crowd, [504]);
    await vi.waitFor(() => {
      expect(lateReplies(gateway)).toBe(extra + late.length);
    }, SOON);
    expectAtMostOnce(a, b);
  });

  test.for(['hello', 'unimplemented'] as const)(
    'and reaches backends at most once while these are killed (Link: %s)',
    async (link) => {
      await using a = await GrpcBackend.start({ instance: 'a', link, handler: echoLater });
      await using b = await GrpcBackend.start({ instance: 'b', link, handler: echoLater });
      await using gateway = await startGateway(`${PLENTY}
backends: { game: { grpc: "ipv4:${a.address},${b.address}" } }
routes: [{ match: "game.>", backend: game, timeout: 60s, order: none }]
`);
      await using crowd = await Crowd.join(gateway, 8, ECHO);
      for (const victim of [a, b, a]) {
        crowd.send(60);
        await crowd.someAnswered();
        await victim.kill();
        crowd.send(20);
        await victim.listen();
        await crowd.allAnswered();
      }
      await expectWhole(crowd, [500, 503]);
      expect(a.requests.length).toBeGreaterThan(0);
      expect(b.requests.length).toBeGreaterThan(0);
      expectAtMostOnce(a, b);
    },
  );

  test('while the gateway drains: what is in flight as usual, what comes then by 503', async () => {
    const held: Asked[] = [];
    await using backend = await GrpcBackend.start({
      handler: (asked) => {
        if (!asked.request.notify) held.push(asked);
      },
    });
    await using gateway = await startGateway(`${PLENTY}
drain: { budget: 20s, per_second: 100000 }
backends: { game: { grpc: "${backend.address}" } }
routes: [{ match: "game.>", backend: game, timeout: 15s }]
`);
    await using crowd = await Crowd.join(gateway, 40, ECHO);
    crowd.send(50);
    await backend.wait(() => (held.length === 40 * 50 ? true : undefined), 'all requests');
    const drained = gateway.gateway.drain();
    await vi.waitFor(() => {
      const states = [...gateway.gateway.registry.all()].map(({ state }) => state);
      expect(states).toEqual(states.map(() => 'draining'));
    }, SOON);
    crowd.send(10);
    const asked = backend.requests.length;
    for (const player of crowd.players)
      await player.client.wait(() => (player.answered === 10 ? true : undefined), 'refusals');
    for (const one of held) one.answer(one.body);
    expect(await drained).toEqual({ closed: 40, forced: 0 });
    for (const player of crowd.players) {
      await player.client.ended;
      expect([player.answered, player.right]).toEqual([60, 50]);
      expect(player.wrong([503])).toEqual([]);
    }
    expect(backend.requests.length).toBe(asked);
    expectAtMostOnce(backend);
  });
});

/** Answers in the next turn, so that some are always in flight when the backend is killed. */
function echoLater(asked: Asked): void {
  setImmediate(() => {
    if (!asked.request.notify) asked.answer(asked.body);
    // A notify by Handle is a call that must end.
    else if (asked.link === null) asked.reply({});
  });
}
