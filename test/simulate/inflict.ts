/** Carries out the faults of the list. */
import type { Fault } from './faults.ts';
import type { Service, Stage } from './stage.ts';
import type { Node } from './world.ts';

/** How long after a fault of the bus something may still be held back. */
const BUS_TROUBLE_MS = 60_000;

export class Inflicter {
  /** What happened, by kind. */
  readonly injected: Record<string, number> = {};
  readonly #stage: Stage;
  /** Until then what a gateway has forwarded before may arrive late. */
  #busTroubleUntilMs = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get isBusInTrouble(): boolean {
    return this.#stage.world.nowMs < this.#busTroubleUntilMs;
  }

  inflict(fault: Fault): void {
    const { kind, ms, target, more = '' } = fault;
    this.#stage.world.trace(`FAULT ${kind} ${target} ${more} ${ms}`);
    this.injected[kind] = (this.injected[kind] ?? 0) + 1;
    if (/^bus|^gateway: pause|^network/.test(kind))
      this.#busTroubleUntilMs = Math.max(
        this.#busTroubleUntilMs,
        this.#stage.world.nowMs + ms + BUS_TROUBLE_MS,
      );
    const [whom] = kind.split(':');
    if (whom === 'client') this.#toClient(fault);
    else if (whom === 'gateway') this.#toGateway(fault);
    else this.#toOthers(fault);
  }

  #toClient({ kind, ms, target, more = '' }: Fault): void {
    const { players } = this.#stage;
    const player = players.find(({ name }) => name === target);
    switch (kind) {
      case 'client: connection cut':
        player?.cut();
        return;
      case 'client: every third cut':
        for (const [i, one] of players.entries()) if (i % 3 === Number(more)) one.cut();
        return;
      case 'client: all cut':
        for (const one of players) one.cut();
        return;
      case 'client: rush':
        for (const one of players) one.rush(more);
        return;
      case 'client: vanishes':
        player?.vanish();
        return;
      case 'client: does not read':
        player?.stall(ms);
        return;
      default:
        this.#part(target, more, ms);
    }
  }

  #toGateway({ kind, ms, target, more = '' }: Fault): void {
    const { gateways } = this.#stage;
    const gateway = gateways.all.find(({ place }) => place === target);
    if (gateway === undefined) return;
    switch (kind) {
      case 'gateway: kill -9':
        gateways.kill(gateway, 'reset', ms);
        return;
      case 'gateway: machine lost':
        gateways.kill(gateway, 'silent', ms);
        return;
      case 'gateway: pause':
        if (gateway.current) this.#pause(gateway.current.node, ms);
        return;
      case 'gateway: drain and restart':
        gateways.drain(gateway, ms);
        return;
      case 'gateway: other configuration':
        gateways.drain(gateway, ms, Number(more));
        return;
      default:
        gateway.current?.node.jumpWall(Number(more));
    }
  }

  /** Backends, servers of the bus, and the ways between them and the gateways. */
  #toOthers({ kind, ms, target, more = '' }: Fault): void {
    const { backends, gateways, servers } = this.#stage;
    const backend = backends.find(({ place }) => place === target);
    const service = backend ?? servers.find(({ place }) => place === target);
    switch (kind) {
      case 'bus: partition':
      case 'link: partition':
        this.#part(target, more, ms);
        return;
      case 'backend: kill -9':
      case 'bus: server killed':
        if (service) this.#killService(service, 'reset', ms);
        return;
      case 'backend: machine lost':
        if (service) this.#killService(service, 'silent', ms);
        return;
      case 'backend: pause':
      case 'bus: server pause':
        if (service?.node) this.#pause(service.node, ms);
        return;
      case 'backend: stop and restart':
      case 'bus: server lame duck':
        if (service) this.#stopService(service, ms);
        return;
      case 'backend: misbehaves':
        backend?.misbehave(more, ms);
        return;
      case 'bus: connection cut': {
        const node = gateways.all.find(({ place }) => place === target)?.current?.node;
        if (backend) backend.cutBus();
        else if (node) this.#cutBus(node);
        return;
      }
      case 'link: connection cut':
        this.#cutBetween(target, more);
        return;
      case 'network: one place slow':
        this.#delay(target, Number(more), ms);
        return;
      default:
        this.#slow(Number(more), ms);
    }
  }

  #part(a: string, b: string, ms: number): void {
    this.#stage.network.part(a, b);
    this.#stage.calm.last(ms, [a, b], () => {
      this.#stage.network.join(a, b);
    });
  }

  #pause(node: Node, ms: number): void {
    if (node.isDead || node.isPaused) return;
    node.pause();
    this.#stage.calm.last(ms, [node.place], () => {
      node.resume();
      this.#stage.network.resumed();
    });
  }

  #killService(service: Service, how: 'reset' | 'silent', ms: number): void {
    const { node } = service;
    if (node === null || node.isDead) return;
    const backend = this.#stage.backends.find((one) => one === service);
    if (how === 'reset' && backend?.isOnBus === false)
      this.#stage.lostCalls.lost('', (place) => place === service.place);
    this.#stage.network.kill(node, how);
    this.#stage.ledger.forgetProcess(node.name);
    this.#stage.calm.last(ms, [service.place], () => {
      if (service.node === null || service.node === node) service.start();
    });
  }

  #stopService(service: Service, ms: number): void {
    const { node } = service;
    if (node === null || node.isDead || node.isPaused) return;
    service.stop(() => {
      if (!node.isDead) this.#stage.network.kill(node, 'reset');
      this.#stage.ledger.forgetProcess(node.name);
      this.#stage.calm.last(ms, [service.place], () => {
        if (service.node === null || service.node === node) service.start();
      });
    });
  }

  #cutBus(node: Node): void {
    const onBus = this.#stage.backends.filter(({ isOnBus }) => isOnBus).map(({ place }) => place);
    this.#stage.lostCalls.lost(node.place, (place) => onBus.includes(place));
    const places = new Set(this.#stage.servers.map(({ place }) => place));
    for (const channel of this.#stage.network.of(node))
      if (places.has(channel.a.node.place) || places.has(channel.b.node.place))
        this.#stage.network.cut(channel);
  }

  #cutBetween(a: string, b: string): void {
    const isOnBus = this.#stage.backends.find(({ place }) => place === a)?.isOnBus;
    if (isOnBus === false) this.#stage.lostCalls.lost(b, (place) => place === a);
    for (const channel of [...this.#stage.network.open]) {
      const { place: from } = channel.a.node;
      const { place: to } = channel.b.node;
      if ((from === a && to === b) || (from === b && to === a)) this.#stage.network.cut(channel);
    }
  }

  #slow(factor: number, ms: number): void {
    const before = this.#stage.network.slowness;
    if (before !== 1) return;
    this.#stage.network.slowness = factor;
    this.#stage.calm.last(ms, [], () => {
      this.#stage.network.slowness = 1;
    });
  }

  #delay(place: string, delayMs: number, ms: number): void {
    const { network, calm } = this.#stage;
    if (network.delayAt(place) > 0) return;
    network.delay(place, delayMs);
    calm.last(ms, [place], () => {
      network.delay(place, 0);
    });
  }
}
