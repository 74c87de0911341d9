/** Gateways behind a load balancer that asks each of them whether it is ready: replaced one by one, or added. */
import { startNats, type TestNats } from '../../support/nats.ts';
import { serve, type Served } from '../../support/serve.ts';
import { eventually } from '../../support/wait.ts';
import { Front } from '../rolling/front.ts';
import { peakMib } from '../totals.ts';

/** Between two times of asking; `deploy/proxies` have it done once a second. */
const CHECK_MS = 250;

export type RolloutOptions = {
  readonly gateways: number;
  /** `drain.generations` */
  readonly generations: boolean;
  /** `drain.per_second` */
  readonly perSecond: number;
  /** `drain.rebalance`; absent: off. */
  readonly rebalance?: boolean;
  /** The address of a backend on gRPC for what begins with `held`; absent: there is none. */
  readonly held?: string;
};

/** What a gateway says of itself at one time. */
export type Looked = {
  /** In the order in which they were started. */
  readonly gateway: number;
  /** On the clock of this process, in milliseconds. */
  readonly at: number;
  readonly sessions: number;
  /** Connections that became sessions, so far. */
  readonly accepted: number;
  /** It sends newcomers to others because it moves sessions. */
  readonly isMoving: boolean;
};

export class RolloutFleet implements AsyncDisposable {
  readonly #nats: TestNats;
  readonly #front: Front;
  readonly #options: RolloutOptions;
  readonly #open = new AsyncDisposableStack();
  #gateways: Served[] = [];
  readonly #ready = new Set<Served>();
  /** When each session was closed, as each gateway that is gone has logged it. */
  readonly closings: number[][] = [];
  #isOver = false;
  #checking: Promise<void> = Promise.resolve();

  private constructor(nats: TestNats, front: Front, options: RolloutOptions) {
    this.#nats = nats;
    this.#front = front;
    this.#options = options;
    this.#open.use(nats);
    this.#open.use(front);
  }

  static async start(options: RolloutOptions): Promise<RolloutFleet> {
    const fleet = new RolloutFleet(await startNats(), await Front.start(), options);
    try {
      for (let i = 0; i < options.gateways; i++) fleet.#gateways.push(await fleet.#startOne('old'));
      fleet.#checking = fleet.#check();
      await fleet.#seen((ready) => ready === options.gateways, 'all to be ready');
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where players connect. */
  get port(): number {
    return this.#front.port;
  }

  #startOne(generation: string): Promise<Served> {
    const { generations, perSecond, rebalance = false, held } = this.#options;
    const backend = held === undefined ? '' : `, held: { grpc: "${held}" }`;
    const route = held === undefined ? '' : '{ match: "held.>", backend: held, timeout: 30m }, ';
    return serve(`
bus: ${this.#nats.url}
generation: ${generation}
heartbeat: 0s
drain: { generations: ${generations}, rebalance: ${rebalance}, budget: 10m, per_second: ${perSecond} }
backends: { fixed: { reply: { code: 200 } }${backend} }
routes: [${route}{ match: ">", backend: fixed }]`);
  }

  /** As a load balancer does. */
  async #check(): Promise<void> {
    while (!this.#isOver) {
      await Promise.all(
        this.#gateways.map(async (gateway) => {
          const ok = await isReady(gateway);
          if (ok) this.#ready.add(gateway);
          else this.#ready.delete(gateway);
        }),
      );
      const ready = this.#gateways.filter((gateway) => this.#ready.has(gateway));
      this.#front.use(ready.map(({ port }) => port));
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
    }
  }

  async #seen(isSo: (ready: number) => boolean, what: string): Promise<void> {
    await eventually(() => isSo(this.#gateways.filter((one) => this.#ready.has(one)).length), what);
  }

  /** A new one is there, and the balancer knows who is ready, before an old one goes. */
  async roll(): Promise<void> {
    const { generations, gateways } = this.#options;
    const olds = [...this.#gateways];
    for (const [n, old] of olds.entries()) {
      this.#gateways.push(await this.#startOne('new'));
      const ready = generations ? n + 1 : gateways + 1;
      await this.#seen((count) => count === ready, `${ready} gateways to be ready`);
      old.running.kill('SIGTERM');
      const code = await old.running.exited;
      if (code !== 0) throw new Error(`a gateway has ended with ${code}`);
      this.#gateways = this.#gateways.filter((one) => one !== old);
      this.closings.push(closingsOf(old));
      await old[Symbol.asyncDispose]();
    }
  }

  /** One more, which the balancer knows. */
  async add(): Promise<void> {
    const gateway = await this.#startOne('old');
    this.#gateways.push(gateway);
    await eventually(() => this.#ready.has(gateway), 'the new gateway to be ready');
  }

  /** What all of them say now. */
  look(): Promise<Looked[]> {
    return Promise.all(
      this.#gateways.map(async (one, gateway) => {
        const text = await (await fetch(`http://127.0.0.1:${one.healthPort}/metrics`)).text();
        const of = (series: string): number =>
          text
            .split('\n')
            .filter((line) => line.startsWith(series))
            .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
        return {
          ...{ gateway, at: performance.now(), sessions: of('pith_sessions ') },
          accepted: of('pith_connections_accepted_total'),
          isMoving: of('pith_newcomers_elsewhere{reason="rebalance"}') === 1,
        };
      }),
    );
  }

  /** When each session was closed, by gateway. */
  closingsNow(): number[][] {
    return this.#gateways.map(closingsOf);
  }

  get peakMib(): number {
    return peakMib(this.#gateways.map(({ running }) => running));
  }

  /** Sessions of each gateway, the oldest first. */
  sessions(): Promise<number[]> {
    return Promise.all(
      this.#gateways.map(async ({ healthPort }) => {
        const text = await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
        return Number(/^pith_sessions (\d+)/m.exec(text)![1]);
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#checking;
    for (const gateway of this.#gateways) gateway.running.kill('SIGKILL');
    for (const gateway of this.#gateways) await gateway[Symbol.asyncDispose]();
    await this.#open.disposeAsync();
  }
}

function closingsOf(gateway: Served): number[] {
  return gateway
    .log()
    .filter(({ msg }) => msg === 'session closed')
    .map(({ time }) => Date.parse(String(time)));
}

async function isReady({ healthPort }: Served): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok;
  } catch {
    return false;
  }
}
