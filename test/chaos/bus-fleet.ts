/**
 * Three gateways, each a process, on a cluster of three nats-servers, with two crowds: one asks a backend on a Link, the
 * other one backends on NATS, of which there is one on each server.
 */
import { inBackground } from '../../src/background.ts';
import { admin } from '../support/admin.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import type { TestNats } from '../support/nats.ts';
import { serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { Crowd } from './crowd.ts';
import { Bus } from './table/buses.ts';

const NAMES = ['one', 'two', 'three'] as const;
/** Of a server that is about to stop: it tells its clients, and closes them after a second. */
const LAME_DUCK = 'lame_duck_grace_period: "1s"\nlame_duck_duration: "30s"';
/** How long one gateway may take to hear from the others before it is asked again. */
const WAIT = '0.5s';

export type Gateway = { readonly name: string; readonly served: Served };

export class BusFleet implements AsyncDisposable {
  readonly bus: Bus;
  readonly gateways: Gateway[] = [];
  readonly link = new Crowd('link.who.am');
  readonly nats = new Crowd('nats.who.am');
  readonly #open: AsyncDisposableStack;

  private constructor(bus: Bus, open: AsyncDisposableStack) {
    this.bus = bus;
    this.#open = open;
  }

  /** @param sessions In each crowd, on all gateways together. @param answerMs What backends on NATS take to answer. */
  static async start(sessions: number, answerMs = 0): Promise<BusFleet> {
    await using open = new AsyncDisposableStack();
    const bus = open.use(await Bus.ofThree(LAME_DUCK, true));
    for (const server of bus.servers) await serveRooms(bus, server, answerMs);
    const link = open.use(
      await startLinkBackend((request) => {
        const { n } = JSON.parse(request.body.toString()) as { n: number };
        request.answer({ sid: request.sid, n });
      }),
    );
    const fleet = new BusFleet(bus, open.move());
    try {
      for (const [i, name] of NAMES.entries())
        fleet.gateways.push(await fleet.#start(name, bus.servers[i]!, link.address));
      for (const { served } of fleet.gateways)
        for (const crowd of [fleet.link, fleet.nats])
          await crowd.join(served.port, Math.ceil(sessions / NAMES.length));
      await fleet.whole();
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
    return fleet;
  }

  /** It knows one server, which tells it of the others. */
  async #start(name: string, server: TestNats, link: string): Promise<Gateway> {
    const served = await serve(`
id: ${name}
bus: ${server.url}
backends:
  link: { grpc: "${link}" }
  nats: { nats: {} }
routes:
  - { match: "link.>", backend: link }
  - { match: "nats.>", backend: nats, timeout: 3s }`);
    this.#open.use(served);
    return { name, served };
  }

  /** The server that a gateway is connected to, as it has logged. */
  serverOf({ served }: Gateway): TestNats {
    const connected = served
      .log()
      .filter(({ msg }) => /^bus (re)?connect(ed|ion moved)$/.test(msg));
    const { server } = connected.at(-1) as unknown as { server: string };
    return this.bus.servers.find(({ port }) => server.endsWith(`:${port}`))!;
  }

  /** Until a push by each gateway reaches every session of all three. */
  async whole(): Promise<void> {
    for (const { name, served } of this.gateways)
      await eventually(async () => {
        const push = { target: { all: true }, route: 'onProbe' };
        const { status, lines } = await admin(served, 'Push', { push, wait: WAIT });
        if (status !== 200) throw new Error(JSON.stringify(lines));
        const { delivered, gateways, silent_gateways: silent } = lines[0] ?? {};
        const isAll = delivered === (await this.sessions());
        return isAll && gateways === NAMES.length && (silent as unknown[]).length === 0;
      }, `all gateways to be reached by ${name}`);
  }

  /** As their clients know them. */
  async sessions(): Promise<number> {
    let all = 0;
    for (const crowd of [this.link, this.nats])
      for (const count of Object.values((await crowd.look()).ports)) all += count;
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link[Symbol.asyncDispose]();
    await this.nats[Symbol.asyncDispose]();
    await this.#open.disposeAsync();
  }
}

/**
 * A backend as it should be: when its server is about to stop, it serves on another before it leaves this one, and takes its
 * time to answer what it has.
 */
async function serveRooms(bus: Bus, server: TestNats, answerMs: number): Promise<void> {
  const nc = await bus.connectTo(server);
  const subscription = nc.subscribe('pith.rpc.nats.>', {
    queue: 'rooms',
    callback: (_, msg) => {
      const { n } = msg.json<{ n: number }>();
      const answer = JSON.stringify({ sid: msg.headers!.get('Pith-Sid'), n });
      setTimeout(() => {
        if (!nc.isClosed()) msg.respond(answer);
      }, answerMs);
    },
  });
  await nc.flush();
  inBackground(follow(), () => {});

  async function follow(): Promise<void> {
    for await (const { type } of nc.status()) {
      if (type !== 'ldm') continue;
      await serveRooms(bus, bus.after(server), answerMs);
      await subscription.drain();
      await new Promise((resolve) => setTimeout(resolve, 2 * answerMs));
      await nc.close();
      return;
    }
  }
}
