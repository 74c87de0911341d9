/**
 * Three gateways, each a process, on a real nats-server, with what looks at them from outside: a crowd of clients,
 * a listener on the bus that keeps presence from events alone, and a backend of each kind that is told of losses.
 */
import type { HttpBackend } from '../support/http-backend.ts';
import type { IpcBackend } from '../support/ipc-backend.ts';
import type { LinkBackend } from '../support/link-backend.ts';
import { type Cable, layCable } from '../support/cable.ts';
import { HttpBackend as Http } from '../support/http-backend.ts';
import { IpcBackend as Ipc, socketPath } from '../support/ipc-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve as serveNats } from '../support/nats-backend.ts';
import { Presence } from '../support/presence.ts';
import { serve, type Served } from '../support/serve.ts';
import { eventually, PATIENCE_MS } from '../support/wait.ts';
import { Crowd } from './crowd.ts';

/** By age at first; one that is started again is the youngest. */
export const NAMES = ['one', 'two', 'three'] as const;

const FILLS_MAX = 10;

export type Member = {
  readonly name: string;
  readonly id: string;
  readonly served: Served;
  /** Its way to NATS. */
  readonly cable: Cable;
  /** Sessions that it has, as its clients know them. */
  readonly sids: Set<string>;
};

type Backends = { http: HttpBackend; link: LinkBackend; ipc: IpcBackend };

export class Fleet implements AsyncDisposable {
  readonly nats: TestNats;
  readonly presence: Presence;
  readonly crowd = new Crowd();
  readonly gateways: Member[] = [];
  readonly #backends: Backends;
  readonly #config: string;
  readonly #rest = new AsyncDisposableStack();

  private constructor(nats: TestNats, presence: Presence, backends: Backends, config: string) {
    this.nats = nats;
    this.presence = presence;
    this.#backends = backends;
    this.#config = config;
  }

  static async start(): Promise<Fleet> {
    const open = new AsyncDisposableStack();
    try {
      const nats = open.use(await startNats());
      const nc = await nats.connect({ maxReconnectAttempts: -1, reconnectTimeWait: 50 });
      await serveNats(nc, 'pith.rpc.chaos.>', (msg) => {
        const { n } = msg.json<{ n: number }>();
        return { body: JSON.stringify({ sid: msg.headers!.get('Pith-Sid'), n }) };
      });
      const socket = open.use(socketPath());
      const backends = {
        http: open.use(await Http.start(() => ({}))),
        link: open.use(await startLinkBackend()),
        ipc: open.use(await Ipc.start(socket.path)),
      };
      const config = `
backends:
  chaos: { nats: {} }
  http: { http: "${backends.http.url}" }
  link: { grpc: "${backends.link.address}" }
  ipc: { ipc: "unix://${socket.path}" }
routes:
  - { match: "chaos.>", backend: chaos }
  - { match: "http.>", backend: http }
  - { match: "link.>", backend: link }
  - { match: "ipc.>", backend: ipc }`;
      const fleet = new Fleet(nats, await Presence.on(nc), backends, config);
      fleet.#rest.use(open.move());
      fleet.#rest.use(fleet.crowd);
      try {
        for (const name of NAMES) fleet.gateways.push(await fleet.#start(name));
        await fleet.settle();
      } catch (error) {
        await fleet[Symbol.asyncDispose]();
        throw error;
      }
      return fleet;
    } catch (error) {
      await open.disposeAsync();
      throw error;
    }
  }

  async #start(name: string): Promise<Member> {
    await using open = new AsyncDisposableStack();
    const cable = open.use(await layCable(this.nats.port));
    const bus = `nats://127.0.0.1:${cable.port}`;
    const served = open.use(await serve(`id: ${name}\nbus: ${bus}\n${this.#config}`));
    const { gateway: id } = (await served.logged('listening')) as unknown as { gateway: string };
    await eventually(() => this.#ofGateway('gateway.ready', id) > 0, `${name} to be ready`);
    open.move();
    return { name, id, served, cable, sids: new Set() };
  }

  /** Starts the one that has ended again. */
  async restart(gateway: Member): Promise<void> {
    await gateway.cable[Symbol.asyncDispose]();
    await gateway.served[Symbol.asyncDispose]();
    this.gateways[this.gateways.indexOf(gateway)] = await this.#start(gateway.name);
  }

  /** Has clients connect or hang up until this gateway has so many. */
  async fill(gateway: Member, count: number): Promise<void> {
    const { sids, served } = gateway;
    if (sids.size > count) await this.leave(gateway, sids.size - count);
    // On a busy machine the crowd may be too slow for a gateway, which closes who says nothing.
    for (let i = 0; i < FILLS_MAX && sids.size < count; i++) {
      await this.crowd.join(served.port, count - sids.size);
      sids.clear();
      for (const sid of await this.crowd.who(served.port)) sids.add(sid);
    }
    if (sids.size !== count) throw new Error(`${sids.size} clients are connected, not ${count}`);
  }

  async leave(gateway: Member, count: number): Promise<readonly string[]> {
    const left = await this.crowd.leave(gateway.served.port, count);
    for (const sid of left) gateway.sids.delete(sid);
    return left;
  }

  /** What is known by events, and is not so, as clients see it; none: they agree. */
  differences(): string[] {
    const found: string[] = [];
    for (const { name, id, sids } of this.gateways) {
      const here = this.presence.here.get(id) ?? new Map<string, string>();
      const missing = [...sids].filter((sid) => !here.has(sid)).length;
      const more = here.size + missing - sids.size;
      if (missing > 0) found.push(`${missing} sessions of ${name} are not known`);
      if (more > 0) found.push(`${more} sessions of ${name} are over, and known`);
    }
    return found;
  }

  /** Until events and clients agree, as far as they ever do. */
  async settle(): Promise<string[]> {
    const isSettled = (): boolean => this.differences().length === 0;
    await eventually(isSettled, 'all sessions', PATIENCE_MS).catch(() => {});
    return this.differences();
  }

  /** The ids of what the backend on HTTP, on a Link and on a Unix socket were told of its loss. */
  told(gateway: string): string[][] {
    const { http, link, ipc } = this.#backends;
    const told: unknown[][] = [
      http.asked
        .filter(({ path }) => path === '/pith/lost')
        .map(({ body }) => JSON.parse(body.toString()) as unknown),
      link.told.filter(({ kind }) => kind === 'lost').map(({ event }) => event),
      ipc.asked.filter(({ cmd }) => cmd === 'pith.lost').map(({ payload }) => payload),
    ];
    return told.map((events) =>
      (events as { gateway: string; id: string }[])
        .filter((lost) => lost.gateway === gateway)
        .map(({ id }) => id),
    );
  }

  #ofGateway(name: string, gateway: string): number {
    return this.presence.named(name).filter((event) => event.gateway === gateway).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { cable, served } of this.gateways) {
      await served[Symbol.asyncDispose]();
      await cable[Symbol.asyncDispose]();
    }
    await this.#rest.disposeAsync();
  }
}
