/** Gateways that hear each other, with clients that come back when they are closed: in time that a test moves. */
import { readAlive } from '../../../src/bus/gateway-events.ts';
import { FleetMembers } from '../../../src/placement/members.ts';
import { Placement } from '../../../src/placement/placement.ts';
import { Rebalance } from '../../../src/placement/rebalance.ts';
import type { Config } from '../../../src/config/schema.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { seededRandom } from '../../support/random.ts';
import { keptLog } from '../../support/report.ts';
import { load } from '../config/support.ts';
import { activate, makeWorld, turn } from '../session/support.ts';

const STEP_MS = 50;
/** Gateways do not start in the same moment; signs of life take some time; a load balancer asks now and then. */
const STAGGER_MS = 150;
const SIGN_MS = 100;
const CHECK_MS = 250;

export type Client = {
  /** Whose session it has. */
  gateway: FleetGateway;
  at: ReturnType<typeof activate>;
  /** Times of its disconnects. */
  readonly cuts: number[];
};

export class FleetGateway {
  readonly id: string;
  readonly world = makeWorld();
  readonly metrics = new Metrics();
  readonly kept = keptLog();
  readonly members: FleetMembers;
  readonly placement: Placement;
  readonly #startedAt: number;

  constructor(id: string, yaml: string, nowMs: number) {
    this.id = id;
    this.#startedAt = nowMs;
    const live: { config: Config } = { config: load(`bus: nats://nats\n${yaml}`) };
    const { clock, wheel, registry } = this.world;
    const { generation } = live.config;
    this.members = new FleetMembers({
      ...{ gatewayId: id, clock, generation },
      ...{ sessions: () => registry.size, room: () => 100_000 },
    });
    const parts = {
      ...{ live, clock, wheel, registry, members: this.members, random: seededRandom(nowMs + 1) },
      ...{ log: this.kept.log, metrics: this.metrics },
    };
    this.placement = new Placement({ ...parts, rebalance: new Rebalance(parts) });
    this.placement.start(() => {});
  }

  get sessions(): number {
    return this.world.registry.size;
  }

  get sign() {
    const sign = {
      ...{ gateway: this.id, seq: '1', sessions: this.sessions, term: 1 },
      ...{ started_at: '2026-01-01T00:00:00Z', ...this.members.facts() },
    };
    return readAlive(JSON.parse(JSON.stringify(sign)) as Record<string, unknown>);
  }

  advance(nowMs: number): void {
    this.world.clock.advance(nowMs - this.#startedAt - (this.world.clock.now() - 1_000));
  }
}

export class PlacedFleet {
  readonly gateways: FleetGateway[] = [];
  readonly clients: Client[] = [];
  readonly #random = seededRandom();
  readonly #yaml: string;
  #lastN = 0;
  #ready: readonly FleetGateway[] = [];
  /** Signs of life that are on their way, and when they arrive. */
  #signs: { at: number; id: string; sign: FleetGateway['sign'] }[] = [];
  nowMs = 0;

  constructor(yaml: string, gateways: number) {
    this.#yaml = yaml;
    for (let i = 0; i < gateways; i++) {
      this.add();
      this.nowMs += STAGGER_MS;
    }
  }

  add(yaml = this.#yaml): FleetGateway {
    const gateway = new FleetGateway(`g-${this.gateways.length}`, yaml, this.nowMs);
    this.gateways.push(gateway);
    return gateway;
  }

  /** So many new clients on a gateway. */
  join(gateway: FleetGateway, count: number): Client[] {
    const joined = Array.from({ length: count }, (): Client => {
      return { gateway, at: this.#connect(gateway), cuts: [] };
    });
    this.clients.push(...joined);
    return joined;
  }

  #connect({ world }: FleetGateway): Client['at'] {
    const client = activate({ world, n: ++this.#lastN, limits: { heartbeatMs: 0 } });
    world.registry.add(client.session);
    return client;
  }

  /** Who was closed comes back to any gateway that was ready when it was asked. */
  #reconnect(): void {
    if (this.nowMs % CHECK_MS === 0)
      this.#ready = this.gateways.filter(({ placement }) => placement.elsewhere === '');
    for (const client of this.clients) {
      if (client.at.session.state !== 'closed') continue;
      client.cuts.push(this.nowMs);
      client.gateway = this.#ready[Math.floor(this.#random.number() * this.#ready.length)]!;
      client.at = this.#connect(client.gateway);
    }
  }

  /** @param look Called after each step of 50 ms. */
  async pass(ms: number, look: () => void = () => {}): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.nowMs += STEP_MS;
      for (const gateway of this.gateways) gateway.advance(this.nowMs);
      this.#tell();
      await turn();
      this.#reconnect();
      look();
    }
  }

  /** Each says every second that it is alive, at a time of its own. */
  #tell(): void {
    for (const [i, { id, sign }] of this.gateways.entries())
      if ((this.nowMs + i * STAGGER_MS) % 1_000 === 0)
        this.#signs.push({ at: this.nowMs + SIGN_MS, id, sign });
    const due = this.#signs.filter(({ at }) => at <= this.nowMs);
    this.#signs = this.#signs.filter(({ at }) => at > this.nowMs);
    for (const { id, sign } of due)
      for (const { id: other, members } of this.gateways) if (id !== other) members.heard(sign);
  }

  get counts(): number[] {
    return this.gateways.map(({ sessions }) => sessions);
  }

  get cuts(): number[] {
    return this.clients.flatMap((client) => client.cuts).sort((a, b) => a - b);
  }
}
