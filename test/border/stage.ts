/** All of it: nats-server, the gateway's process, the attacker's, honest backends and bystanders in this one. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { socketPath } from '../support/ipc-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';
import type { Ports, Tally } from './arena.ts';
import type { Said, Told } from './attacker.ts';
import { Bystanders } from './bystanders.ts';
import { Client, reasonOf } from './client.ts';
import { configOf, doorConfigOf, type Kind, KINDS, type Places } from './config.ts';
import { Gateway } from './gateway.ts';
import {
  dialGrpc,
  dialWebSocket,
  grpcServer,
  httpServer,
  ipcServer,
  methodServer,
  natsServer,
  type Running,
} from './servers.ts';

const ATTACKER = fileURLToPath(new URL('attacker.ts', import.meta.url));

/** An attacking process, told what to do one thing at a time. */
export class Attacker {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(ATTACKER, { stdio: 'inherit', serialization: 'json' });
  }

  async tell<S extends Said['said']>(told: Told, until: S): Promise<Said & { said: S }> {
    this.#child.send(told);
    const answered = new AbortController();
    const { signal } = answered;
    const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
      throw new Error(`the attacker has ended: ${String(code)}`);
    });
    ended.catch(() => {});
    const [said] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [
      Said,
    ];
    answered.abort();
    if (said.said !== until) throw new Error(`the attacker said ${said.said}, not ${until}`);
    return said as Said & { said: S };
  }

  async attack(told: Omit<Told & { tell: 'attack' }, 'tell'>): Promise<Tally> {
    const { tally } = await this.tell({ tell: 'attack', ...told }, 'done');
    return tally;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

export class Stage implements AsyncDisposable {
  readonly nats: TestNats;
  readonly gateway: Gateway;
  readonly attacker: Attacker;
  bystanders!: Bystanders;
  /** Another gateway on the same bus; null: there is none yet. */
  door: Gateway | null = null;
  #doorKind: Kind | null = null;
  readonly #places: Places['x'];
  readonly #open: (Running | Disposable)[];

  private constructor(
    nats: TestNats,
    gateway: Gateway,
    attacker: Attacker,
    places: Places['x'],
    opened: (Running | Disposable)[],
  ) {
    this.#places = places;
    this.nats = nats;
    this.gateway = gateway;
    this.attacker = attacker;
    this.#open = opened;
  }

  /** @param pauseMs How long a bystander is silent between two requests, about. */
  static async start(pauseMs: number): Promise<Stage> {
    const nats = await startNats();
    const attacker = new Attacker();
    const sockets = { a: socketPath(), x: socketPath() };
    const echo = (): boolean => false;
    const [link, handle, method, http, ipc, onNats] = await Promise.all([
      grpcServer(true, echo),
      grpcServer(false, echo),
      methodServer(echo),
      httpServer(echo),
      ipcServer(sockets.a.path, echo),
      natsServer(nats.port, 'pith.rpc.anats.>', echo),
    ]);
    const a = { link: link.at, handle: handle.at, method: method.at, http: http.at, ipc: ipc.at };
    const told = { tell: 'open', natsPort: nats.port, ipcPath: sockets.x.path } as const;
    const { places: x } = await attacker.tell(told, 'opened');
    const gateway = await Gateway.start(configOf(nats.port, { a, x }));
    const { ports } = gateway;
    const stage = new Stage(nats, gateway, attacker, x, [
      link,
      handle,
      method,
      http,
      ipc,
      onNats,
      dialGrpc(ports.control, 'adial', echo),
      dialWebSocket(ports.admin, 'adialws', echo),
      sockets.a,
      sockets.x,
    ]);
    try {
      await attacker.tell({ tell: 'attach', ports: stage.#ports() }, 'attached');
      await stage.#ready();
      stage.bystanders = await Bystanders.start(ports.clients, pauseMs);
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** Has another gateway on the bus, which asks this backend at each handshake; null: whichever there is. */
  async openDoor(kind: Kind | null): Promise<void> {
    const wanted = kind ?? this.#doorKind ?? 'ipc';
    if (this.door !== null && this.#doorKind === wanted) return;
    await this.door?.[Symbol.asyncDispose]();
    this.door = null;
    this.door = await Gateway.start(doorConfigOf(this.nats.port, this.#places, wanted));
    this.#doorKind = wanted;
    await this.attacker.tell({ tell: 'look', ports: this.#ports() }, 'attached');
  }

  #ports(): Ports {
    const { gateway, door, nats } = this;
    const gateways = [gateway.id, ...(door === null ? [] : [door.id])];
    return { ...gateway.ports, nats: nats.port, door: door?.ports.clients[0] ?? 0, gateways };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bystanders?.stop();
    await this.door?.[Symbol.asyncDispose]();
    await this.gateway[Symbol.asyncDispose]();
    this.attacker.kill();
    for (const one of this.#open) {
      if ('close' in one) one.close();
      else one[Symbol.dispose]();
    }
    await this.nats[Symbol.asyncDispose]();
  }

  /** Every backend answers, those that dial in too. */
  async #ready(): Promise<void> {
    const { clients } = this.gateway.ports;
    const client = await Client.join(clients[0]!, 'tcp', 'pomelo');
    for (const backend of (['a', 'x'] as const).flatMap((side) => KINDS.map((kind) => side + kind)))
      await eventually(async () => {
        const outcome = await client.ask(`${backend}.echo.say`, '{}', 10_000);
        return outcome.kind === 'answer' && reasonOf(outcome.body) === '';
      }, `the backend ${backend} to answer`);
    await client.close();
  }
}
