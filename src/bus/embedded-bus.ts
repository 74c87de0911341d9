/** No bus: this gateway is the only one. Everything that needs one gateway works, without any server. */
import type {
  Bus,
  ClaimChannel,
  KeepChannel,
  LineageNews,
  PeerReplies,
  Peers,
  RequestsBySid,
  WatchChannel,
} from './bus.ts';
import type { BusEvents, GatewayState } from './events.ts';
import { type Failure, failure } from '../errors.ts';
import type { Gate } from './gate.ts';
import type { Subscriptions } from '../session/registry.ts';
import { NO_SESSION_EVENTS } from '../session/session-events.ts';

export class EmbeddedBus implements Bus {
  readonly name = 'embedded';
  readonly up = true;
  readonly notReady = '';
  readonly ready = Promise.resolve();
  readonly subscriptions: Subscriptions = { add: () => null, remove: () => {} };
  readonly events: BusEvents = { ...NO_SESSION_EVENTS, gateway() {}, conflict() {} };
  readonly peers: Peers = {
    push: () => null,
    pushCounted: noReplies,
    kick: noReplies,
    list: noReplies,
    changeGroups: noReplies,
    presence: noReplies,
    groups: noReplies,
    status: noReplies,
    why: noReplies,
    mayResume: noReplies,
    ended: noReplies,
    orders: noReplies,
  };
  readonly claims: ClaimChannel = {
    up: false,
    publish() {},
    ask: () => failure('BUS_AWAY'),
  };
  readonly lineages: LineageNews = { isReady: true, ready: Promise.resolve(), tellEnded() {} };
  readonly keeping: KeepChannel = {
    keep: () => Promise.resolve(failure('UNSUPPORTED', 'push.keep needs NATS with JetStream')),
  };
  readonly watching: WatchChannel = { ask: () => null, leave() {}, names: () => [] };
  readonly bySid: RequestsBySid = { patch: noSession, get: noSession };

  readonly #gate: Gate | null;

  constructor(gate: Gate | null = null) {
    this.#gate = gate;
  }

  serve(): void {}

  start(): void {}

  tell(state: GatewayState): void {
    this.#gate?.setReady(state === 'ready');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export function noReplies(): Promise<PeerReplies> {
  return Promise.resolve({ answers: [], silentGateways: [] });
}

function noSession(): Failure {
  return failure('NO_SESSION');
}
