/**
 * A backend in Go is scaled from one process to three and back, stopped, killed and started again, while clients
 * ask without pause; beside it another backend, which should not notice. Prints what became of the requests.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type GrpcChat, startGrpcChat } from '../support/go.ts';
import { freePort } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

/** Clients of each backend. */
const CLIENTS = 20;
/** Requests that each client has in flight while the backend is stopped; 64 is the gateway's own limit. */
const IN_FLIGHT = 60;
const TIMEOUT_MS = 2_000;

type Outcome = { readonly what: string; readonly ms: number };
type Row = Readonly<Record<string, string | number>>;

/** Clients that ask one backend, one request after the other, until they are told to stop. */
class Load {
  readonly clients: readonly TestClient[];
  readonly #server: string;
  #outcomes: Outcome[] = [];
  #isOn = true;
  #runs: Promise<void>[] = [];

  private constructor(clients: readonly TestClient[], server: string) {
    this.clients = clients;
    this.#server = server;
  }

  static async start(gateway: TestGateway, server: string): Promise<Load> {
    const joining = Array.from({ length: CLIENTS }, () => TestClient.connect(gateway.port));
    const load = new Load(await Promise.all(joining), server);
    load.#runs = load.clients.map((client, i) => load.#run(client, i));
    return load;
  }

  async #run(client: TestClient, i: number): Promise<void> {
    while (this.#isOn) await this.ask(client, i);
  }

  async ask(client: TestClient, i: number): Promise<string> {
    const began = performance.now();
    const id = client.send(`${this.#server}.room.join`, {
      name: `${this.#server}${i}`,
      room: `r${i}`,
    });
    const answer = await client.answer(id);
    const what = answer['code'] === 200 ? 'ok' : String(answer['reason']);
    this.#outcomes.push({ what, ms: performance.now() - began });
    // A second answer would be left when all is over.
    const { received } = client;
    received.splice(
      received.findIndex((item) => item.kind === 'response' && item.id === id),
      1,
    );
    return what;
  }

  /** What became of the requests since the last time. */
  take(): readonly Outcome[] {
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    return outcomes;
  }

  get answered(): number {
    return this.#outcomes.length;
  }

  /** @returns Answers beyond the first. */
  async stop(): Promise<readonly unknown[]> {
    this.#isOn = false;
    await Promise.all(this.#runs);
    for (const client of this.clients) client.close();
    return this.clients.flatMap(({ received }) =>
      received.filter(({ kind }) => kind === 'response'),
    );
  }
}

function kinds(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { what } of outcomes) counts[what] = (counts[what] ?? 0) + 1;
  return counts;
}

function percentile(outcomes: readonly Outcome[], share: number): string {
  const sorted = outcomes.map(({ ms }) => ms).sort((a, b) => a - b);
  return `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)} ms`;
}

const ports: number[] = [];
const chats: (GrpcChat | null)[] = [null, null, null];
const rows: Record<string, Row> = {};
let other: GrpcChat;
let gateway: TestGateway;
let asked: Load;
let beside: Load;

async function listen(n: number): Promise<GrpcChat> {
  const chat = await startGrpcChat({ ADDR: `127.0.0.1:${ports[n]!}`, INSTANCE: `chat-${n}` });
  chats[n] = chat;
  return chat;
}

const healthy = (count: number): Promise<unknown> =>
  eventually(
    () => gateway.gateway.info().backends.find(({ name }) => name === 'chat')!.healthy === count,
    `${count} addresses that are well`,
  );

/** Waits until each client of both has been answered some times more. */
async function some(): Promise<void> {
  const [a, b] = [asked.answered, beside.answered];
  await eventually(() => asked.answered > a + 20 * CLIENTS, 'answers of the backend');
  await eventually(() => beside.answered > b + 20 * CLIENTS, 'answers of the other backend');
}

/** Ends a phase: the row of the table, and what each backend's requests came to. */
function phase(name: string): Record<string, number> {
  const [ours, others] = [asked.take(), beside.take()];
  const p99 = (of: readonly Outcome[]): string => percentile(of, 0.99);
  rows[name] = {
    answered: ours.length,
    ...kinds(ours),
    p99: p99(ours),
    'other: answered': others.length,
    'other: median': percentile(others, 0.5),
    'other: p99': p99(others),
  };
  expect(kinds(others), `the other backend: ${name}`).toEqual({ ok: others.length });
  return kinds(ours);
}

beforeAll(async () => {
  for (let i = 0; i < 3; i++) ports.push(await freePort());
  await listen(0);
  other = await startGrpcChat();
  gateway = await startGateway(`
log: { level: info }
limits: { messages_per_second: 100000, burst: 100000 }
backends:
  chat: { grpc: "ipv4:${ports.map((port) => `127.0.0.1:${port}`).join(',')}" }
  other: { grpc: "ipv4:${other.address}" }
routes:
  - { match: "chat.>", backend: chat, timeout: ${TIMEOUT_MS}ms }
  - { match: "other.>", backend: other, rename: "chat.{handler}.{method}" }
`);
  asked = await Load.start(gateway, 'chat');
  beside = await Load.start(gateway, 'other');
});

afterAll(async () => {
  console.table(rows);
  await gateway[Symbol.asyncDispose]();
  for (const chat of [other, ...chats]) await chat?.[Symbol.asyncDispose]();
});

test('from one process to three: nothing is lost', async () => {
  await some();
  phase('one process');
  await listen(1);
  await listen(2);
  await healthy(3);
  await some();
  const { ok, ...lost } = phase('one to three');
  expect(ok).toBeGreaterThan(0);
  expect(lost).toEqual({});
});

test('from three to one, each ended in good order: nothing is lost', async () => {
  for (const n of [1, 2]) {
    chats[n]!.kill('SIGTERM');
    expect(await chats[n]!.exited).toBe(0);
  }
  await some();
  const { ok, ...lost } = phase('three to one');
  expect(ok).toBeGreaterThan(0);
  expect(lost).toEqual({});
});

test('stopped with over a thousand requests in flight: each ends by its timeout', async () => {
  const stopped = chats[0]!;
  await stopped.freeze();
  const flood = asked.clients.flatMap((client, i) =>
    Array.from({ length: IN_FLIGHT }, () => asked.ask(client, i)),
  );
  const before = beside.answered;
  const ends = await Promise.all(flood);
  expect(beside.answered).toBeGreaterThan(before);
  stopped.kill('SIGCONT');
  expect(new Set(ends)).toEqual(new Set(['TIMEOUT']));
  const { ok: _before, TIMEOUT, ...others } = phase('stopped (SIGSTOP)');
  expect(TIMEOUT).toBeGreaterThanOrEqual(CLIENTS * IN_FLIGHT);
  expect(others).toEqual({});
  await some();
  phase('it goes on (SIGCONT)');
});

test('killed and started again: each request is answered, by it or by an error', async () => {
  chats[0]!.kill('SIGKILL');
  await chats[0]!.exited;
  await eventually(() => asked.answered > 20 * CLIENTS, 'answers');
  await listen(0);
  await healthy(1);
  // Behind these, nobody has an answer from before on the way.
  await Promise.all(asked.clients.map((client, i) => asked.ask(client, i)));
  phase('killed (SIGKILL)');
  await some();
  const { ok, ...lost } = phase('started again');
  expect(ok).toBeGreaterThan(0);
  expect(lost).toEqual({});
});

test('nothing is answered twice', async () => {
  expect(await asked.stop()).toEqual([]);
  expect(await beside.stop()).toEqual([]);
});
