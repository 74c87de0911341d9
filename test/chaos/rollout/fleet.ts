/** A gateway, and three instances of each kind of backend behind it, which are replaced one after the other. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startNats, type TestNats } from '../../support/nats.ts';
import { freePort, type Running } from '../../support/process.ts';
import { serve, type Served } from '../../support/serve.ts';
import { eventually } from '../../support/wait.ts';
import { Front } from '../rolling/front.ts';
import type { InstanceOrder } from './instance.ts';
import { PROTO_DIR } from './kinds.ts';
import type { Program } from './programs.ts';

const PROCESS = fileURLToPath(new URL('instance.ts', import.meta.url));
/** Of each kind; a Unix socket has one. */
const INSTANCES = 3;
/** An instance that has not gone by then never will. */
const LEAVE_MS = 60_000;

export type Kind = InstanceOrder['kind'];
export const KINDS: readonly Kind[] = [
  'handle',
  'ipc',
  'link',
  'method',
  'nats',
  'http',
  'dial_in',
];

/** Where instances of a kind are, and what the gateway's configuration has of them. */
type Place = {
  readonly where: readonly string[];
  readonly backend: string;
  readonly route: string;
};

type Instance = {
  /** SIGTERM. Resolves when it has gone, with what has come to it. */
  replace(): Promise<Float64Array>;
  kill(): void;
};

class ProgramInstance implements Instance {
  readonly #running: Running;

  constructor(running: Running) {
    this.#running = running;
  }

  /** It keeps no records. */
  async replace(): Promise<Float64Array> {
    this.#running.kill('SIGTERM');
    const late = setTimeout(() => this.#running.kill('SIGKILL'), LEAVE_MS);
    const ended = await this.#running.exited;
    clearTimeout(late);
    if (ended !== 0) throw new Error(`it ended with ${ended}:\n${this.#running.output()}`);
    return new Float64Array();
  }

  kill(): void {
    this.#running.kill('SIGKILL');
  }
}

class OwnInstance implements Instance {
  readonly #child: ChildProcess;
  #records: Float64Array | null = null;

  constructor(order: InstanceOrder) {
    this.#child = fork(PROCESS, [JSON.stringify(order)], {
      serialization: 'advanced',
      stdio: 'inherit',
    });
    this.#child.on('message', (said) => {
      if (said instanceof Float64Array) this.#records = said;
    });
  }

  static async start(order: InstanceOrder): Promise<OwnInstance> {
    const instance = new OwnInstance(order);
    const ended = once(instance.#child, 'exit');
    const said = await Promise.race([once(instance.#child, 'message'), ended.then(() => null)]);
    if (said === null) throw new Error(`an instance of ${order.kind} did not start`);
    return instance;
  }

  async replace(): Promise<Float64Array> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), LEAVE_MS);
    await exited;
    clearTimeout(late);
    if (this.#records === null) throw new Error('an instance has not said what has come to it');
    return this.#records;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

export class RolloutFleet implements AsyncDisposable {
  readonly gateway: Served;
  readonly #front: Front;
  readonly #places: ReadonlyMap<Kind, Place>;
  readonly #program: Program | null;
  readonly #open: AsyncDisposableStack;
  readonly #instances = new Map<Kind, Instance[]>();
  readonly #records = new Map<Kind, Float64Array[]>();
  #lastName = 0;

  private constructor(parts: {
    gateway: Served;
    front: Front;
    places: ReadonlyMap<Kind, Place>;
    program: Program | null;
    open: AsyncDisposableStack;
  }) {
    this.gateway = parts.gateway;
    this.#front = parts.front;
    this.#places = parts.places;
    this.#program = parts.program;
    this.#open = parts.open;
  }

  /** @param program Of which the instances are; null: they are our own. */
  static async start(
    kinds: readonly Kind[],
    program: Program | null = null,
  ): Promise<RolloutFleet> {
    await using open = new AsyncDisposableStack();
    const nats = kinds.includes('nats') ? open.use(await startNats()) : null;
    const front = open.use(await Front.start());
    const folder = mkdtempSync(join(tmpdir(), 'pith-rollout-'));
    open.defer(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const places = new Map<Kind, Place>();
    for (const kind of kinds) {
      const place = await placeOf(kind, { nats, front, folder });
      places.set(kind, program === null ? place : placeFor(program, place));
    }
    const gateway = open.use(await serve(yamlOf(places, nats)));
    const parts = { gateway, front, places, program, open: open.move() };
    const fleet = new RolloutFleet(parts);
    try {
      await Promise.all(kinds.map((kind) => fleet.#startAll(kind)));
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What has come to instances of this kind that have gone. */
  records(kind: Kind): readonly Float64Array[] {
    return this.#records.get(kind) ?? [];
  }

  /** Replaces each instance in turn. */
  async roll(kind: Kind): Promise<void> {
    const count = kind === 'ipc' ? INSTANCES : this.#instances.get(kind)!.length;
    for (let n = 0; n < count; n++) {
      if (isByAddress(kind)) {
        // As where an instance keeps its address: it is away for a moment, while the others are there.
        await this.#end(kind, n);
        await this.#begin(kind, n);
      } else {
        const place = kind === 'ipc' ? 0 : n;
        const before = this.#instances.get(kind)![place]!;
        await this.#begin(kind, place);
        await this.#note(kind, before);
      }
      await this.#settled(kind);
    }
  }

  /** Ends all that are left, so that all records are there. */
  async finish(): Promise<void> {
    const all = [...this.#instances].flatMap(([kind, list]) => list.map((one) => ({ kind, one })));
    await Promise.all(all.map(({ kind, one }) => this.#note(kind, one)));
    this.#instances.clear();
  }

  async #startAll(kind: Kind): Promise<void> {
    this.#instances.set(kind, []);
    const count = kind === 'ipc' ? 1 : INSTANCES;
    await Promise.all(Array.from({ length: count }, (_, n) => this.#begin(kind, n)));
    await this.#settled(kind);
  }

  async #begin(kind: Kind, n: number): Promise<void> {
    const { where } = this.#places.get(kind)!;
    const order: InstanceOrder = {
      kind,
      name: `${kind}-${++this.#lastName}`,
      where: where[n % where.length]!.replace('ADMIN', String(this.gateway.adminPort)),
    };
    if (kind !== 'http') {
      this.#instances.get(kind)![n] = await this.#start(order);
      return;
    }
    const port = await freePort();
    const instance = await this.#start({ ...order, where: String(port) });
    const ports = this.#httpPorts;
    ports[n] = port;
    // From here on no new connection goes to the one before.
    this.#front.use([...ports]);
    this.#instances.get(kind)![n] = instance;
  }

  async #start(order: InstanceOrder): Promise<Instance> {
    if (this.#program === null) return OwnInstance.start(order);
    return new ProgramInstance(await this.#program.start(order.where));
  }

  readonly #httpPorts: number[] = [];

  async #end(kind: Kind, n: number): Promise<void> {
    await this.#note(kind, this.#instances.get(kind)![n]!);
  }

  async #note(kind: Kind, instance: Instance): Promise<void> {
    const records = this.#records.get(kind) ?? [];
    this.#records.set(kind, records);
    records.push(await instance.replace());
  }

  /** Until the gateway reaches all of them: as an orchestrator waits until an instance is ready, and a little longer. */
  async #settled(kind: Kind): Promise<void> {
    if (!isByAddress(kind) && kind !== 'dial_in' && kind !== 'ipc') return;
    const wanted = kind === 'ipc' ? 1 : this.#instances.get(kind)!.length;
    const line = `pith_backend_healthy_addresses{backend="${kind}"} ${wanted}`;
    await eventually(async () => {
      const url = `http://127.0.0.1:${this.gateway.healthPort}/metrics`;
      return (await (await fetch(url)).text()).includes(line);
    }, line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const instances of this.#instances.values()) for (const one of instances) one.kill();
    await this.#open.disposeAsync();
  }
}

/** The gateway dials each instance at an address of its own. */
function isByAddress(kind: Kind): boolean {
  return kind === 'link' || kind === 'handle' || kind === 'method';
}

/** The same, for another program than our own. */
function placeFor({ kind, route, routeKeys = '', backend }: Program, place: Place): Place {
  const match = `${route.slice(0, route.indexOf('.'))}.>`;
  return {
    where: place.where,
    backend: backend?.(`grpc: "ipv4:${place.where.join(',')}"`) ?? place.backend,
    route: `{ match: "${match}", backend: ${kind}, order: serial${routeKeys} }`,
  };
}

async function placeOf(
  kind: Kind,
  { nats, front, folder }: { nats: TestNats | null; front: Front; folder: string },
): Promise<Place> {
  const route = `{ match: "${kind}.>", backend: ${kind} }`;
  if (kind === 'nats')
    // A queue group has no order among its members but this.
    return {
      where: [nats!.url],
      backend: '{ nats: {} }',
      route: '{ match: "nats.>", backend: nats, order: serial }',
    };
  if (kind === 'http')
    return { where: [''], backend: `{ http: "http://127.0.0.1:${front.port}" }`, route };
  if (kind === 'ipc') {
    const path = join(folder, 'game.sock');
    return { where: [path], backend: `{ ipc: "unix://${path}" }`, route };
  }
  if (kind === 'dial_in')
    return { where: ['ws://127.0.0.1:ADMIN/v1/attach'], backend: '{ dial_in: {} }', route };
  const where: string[] = [];
  for (let i = 0; i < INSTANCES; i++) where.push(`127.0.0.1:${await freePort()}`);
  const grpc = `grpc: "ipv4:${where.join(',')}"`;
  if (kind !== 'method') return { where, backend: `{ ${grpc}, mode: ${kind} }`, route };
  return {
    where,
    backend: `{ ${grpc}, mode: method, services: [rollout.Rollout], protos: ["${PROTO_DIR}"] }`,
    route: `{ match: "method.>", backend: method, method: /rollout.Rollout/Ask }`,
  };
}

function yamlOf(places: ReadonlyMap<Kind, Place>, nats: TestNats | null): string {
  const backends = [...places].map(([kind, { backend }]) => `  ${kind}: ${backend}`);
  const routes = [...places.values()].map(({ route }) => `  - ${route}`);
  return `
${nats === null ? '' : `bus: ${nats.url}`}
backends:
${backends.join('\n')}
routes:
${routes.join('\n')}
`;
}
