/**
 * The chat of Pomelo's tutorial in Chromium, on two gateways, its game server in Python on NATS and in Go on gRPC.
 * The page is ours, to the tutorial's contract; `make tutorial CHAT=…` plays the same with the tutorial's own page
 * and its server's protos, unmodified, and leaves screenshots.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';

import { TestClient } from '../support/client.ts';
import { installPython, startPomeloChat } from '../support/examples.ts';
import type { LogLine } from '../support/gateway.ts';
import { QUERY } from '../support/gated.ts';
import { startPomeloChatGo } from '../support/go.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { freePort, type Running } from '../support/process.ts';
import { ROOT, serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { skipWithout } from './backends.ts';
import { findChromium } from './browser/chromium.ts';
import { type ChatPage, GATE_PORT, Tutorial } from './browser/tutorial.ts';

/** A checkout of NetEase/chatofpomelo-websocket; without one the page is ours. */
const CHAT = process.env['CHAT'] || undefined;
const EXAMPLES = join(ROOT, 'deploy/examples');
const SCREENSHOTS = fileURLToPath(new URL('../../.cache/tutorial/', import.meta.url));

/** Where browsers find the two gateways; the first also has the page's site. */
const HOSTS = ['one.test', 'two.test'] as const;

type Backend = { readonly yaml: object; readonly running: Running };
type Start = (nats: TestNats, controls: readonly number[]) => Promise<Backend | string>;

const BACKENDS: readonly [string, string, Start][] = [
  [
    'Python on NATS',
    'pomelo-chat-python-nats',
    async (nats) => {
      const python = await installPython();
      if (python === null) return 'there is no Python 3.9 with venv and pip';
      return { yaml: {}, running: await startPomeloChat(python, nats.url) };
    },
  ],
  [
    'Go on gRPC',
    'pomelo-chat-grpc-go',
    async (_nats, controls) => {
      const running = await startPomeloChatGo(controls.map((port) => `127.0.0.1:${port}`));
      return { yaml: { chat: { grpc: running.address } }, running };
    },
  ],
];

/** Two gateways with the example's own pith.yaml, but for addresses; the second is started later. */
class Stage implements AsyncDisposable {
  readonly tutorial: Tutorial;
  readonly #stack: AsyncDisposableStack;
  readonly #start: (n: number) => Promise<Served>;

  private constructor(
    stack: AsyncDisposableStack,
    tutorial: Tutorial,
    startGateway: (n: number) => Promise<Served>,
  ) {
    this.#stack = stack;
    this.tutorial = tutorial;
    this.#start = startGateway;
  }

  /** A string: why it cannot be. */
  static async open(example: string, start: Start): Promise<Stage | string> {
    await using stack = new AsyncDisposableStack();
    const nats = stack.use(await startNats());
    const ports = await Promise.all(HOSTS.map(() => freePort()));
    const controls = await Promise.all(HOSTS.map(() => freePort()));
    const backend = await start(nats, controls);
    if (typeof backend === 'string') return backend;
    stack.use(backend.running);
    const gates = Object.fromEntries(HOSTS.map((host, n) => [host, ports[n]!]));
    const folder = CHAT === undefined ? undefined : join(CHAT, 'web-server/public');
    const tutorial = stack.use(await Tutorial.launch(findChromium()!, gates, folder));
    return new Stage(stack.move(), tutorial, (n) => {
      const yaml = parse(readFileSync(join(EXAMPLES, example, 'pith.yaml'), 'utf8')) as Yaml;
      const gate = { gate: { advertise: { ws: `${HOSTS[n]}:${GATE_PORT}` } } };
      const { listen: _, backends, ...rest } = yaml;
      return serve(
        stringify({
          ...rest,
          id: HOSTS[n]!.replace('.test', ''),
          bus: nats.url,
          backends: { ...backends, gate, ...backend.yaml },
          ...(CHAT !== undefined && { pomelo: { config_dir: join(CHAT, 'game-server/config') } }),
        }),
        ...['--set', `listen.0.url=ws://127.0.0.1:${ports[n]}`],
        ...['--set', `control.listen=127.0.0.1:${controls[n]}`],
      );
    });
  }

  async gateway(n: number): Promise<Served> {
    return this.#stack.use(await this.#start(n));
  }

  /** Ends it with the stage. */
  use(other: AsyncDisposable): void {
    this.#stack.use(other);
  }

  /** Opens the page, as it comes from a gateway's host, and logs in. */
  async enter(host: string, user: string, room: string): Promise<ChatPage> {
    const page = await this.tutorial.open(host);
    await page.enter(user, room);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

type Yaml = { readonly listen: unknown; readonly backends: object };

/** Until the gate of a gateway sends everybody to this host. */
async function gateTells({ port }: Served, host: string): Promise<void> {
  await eventually(async () => {
    await using client = await TestClient.connect(port, 'ws');
    for (let i = 0; i < 3; i++)
      if ((await client.request(QUERY, { uid: 'x' }))['host'] !== host) return false;
    return true;
  }, `the gate to tell ${host}`);
}

function refusedBy(gateway: Served): LogLine[] {
  return gateway.log().filter(({ msg }) => msg === 'bus message refused');
}

async function photograph(name: string, pages: Readonly<Record<string, ChatPage>>): Promise<void> {
  if (CHAT === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [user, page] of Object.entries(pages))
    await page.screenshot(join(SCREENSHOTS, `${name}-${user}.png`.replaceAll(' ', '-')));
}

describe.each(BACKENDS)("the tutorial's chat, its game server in %s", (name, example, start) => {
  test('is one chat on two gateways, and of kill -9 every room is told', async (ctx) => {
    ctx.skip(findChromium() === undefined, 'needs chromium');
    skipWithout(ctx, ['go', 'nats-server']);
    const opened = await Stage.open(example, start);
    if (typeof opened === 'string') return ctx.skip(opened);
    await using stage = opened;

    const one = await stage.gateway(0);
    // So many that the gate will send everybody to the second one.
    const crowd = Array.from({ length: 50 }, () => TestClient.connect(one.port, 'ws'));
    for (const client of await Promise.all(crowd)) stage.use(client);
    const ann = await stage.enter('one.test', 'ann', 'lobby');
    const carl = await stage.enter('one.test', 'carl', 'lobby');
    const zoe = await stage.enter('one.test', 'zoe', '大厅');
    expect(await ann.users()).toEqual(['ann', 'carl']);
    expect(await zoe.users()).toEqual(['zoe']);

    const two = await stage.gateway(1);
    await gateTells(one, 'two.test');
    const bob = await stage.enter('one.test', 'bob', 'lobby');
    expect(bob.hosts).toEqual(['one.test', 'two.test']);
    expect((await bob.users()).sort()).toEqual(['ann', 'bob', 'carl']);
    await ann.sees('bob');

    await bob.say('大家好 <b>hi</b>');
    const toAll = { nick: 'bob says to all:', text: '大家好 <b>hi</b>' };
    for (const page of [ann, bob, carl]) expect(await page.said(1)).toEqual([toAll]);
    await ann.say('psst', 'bob');
    const toBob = { nick: 'ann says to bob:', text: 'psst' };
    for (const page of [ann, bob]) expect(await page.said(2)).toEqual([toAll, toBob]);
    expect(await carl.history()).toEqual([toAll]);
    expect(await zoe.history()).toEqual([]);
    await photograph(`${name} chat`, { ann, bob, zoe });

    const other = await stage.tutorial.open('two.test');
    await other.join('ann', 'lobby');
    expect(await other.loginError()).toBe('Please change your name to login.');
    await other.close();

    await bob.close();
    await ann.loses('bob');
    await gateTells(one, 'two.test');
    const ben = await stage.enter('one.test', 'ben', 'lobby');
    await gateTells(one, 'two.test');
    const yan = await stage.enter('one.test', 'yan', '大厅');
    expect([...ben.hosts, ...yan.hosts].filter((host) => host === 'two.test')).toHaveLength(2);
    expect((await ben.users()).sort()).toEqual(['ann', 'ben', 'carl']);
    await photograph(`${name} after bob left`, { ann, ben });

    // A refused name is no reason to warn anybody.
    expect([...refusedBy(one), ...refusedBy(two)]).toEqual([]);

    one.running.kill('SIGKILL');
    await ann.loggedOut();
    await gateTells(two, 'two.test');
    // Before or after the others are told that her gateway is lost: she is there.
    const again = await stage.enter('two.test', 'ann', 'lobby');
    await ben.loses('carl');
    await yan.loses('zoe');
    await ben.sees('ann');
    expect(await yan.users()).toEqual(['yan']);
    expect((await again.users()).filter((user) => user !== 'carl').sort()).toEqual(['ann', 'ben']);
    await photograph(`${name} after the kill`, { ben, yan, again });
  });
});
