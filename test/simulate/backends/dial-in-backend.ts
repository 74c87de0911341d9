/** A backend that connects to every gateway by itself, and attaches: a Link that it has opened. */
import type { CancelTimer } from '../../../src/clock.ts';
import type { Ending } from '../../../src/upstream/dial-in/attach-stream.ts';
import { type End, NEAR } from '../channel.ts';
import { type AttachWire, BackendSide } from './attach-pipe.ts';
import type { LinkOptions } from './link-options.ts';
import { Conversation } from './conversation.ts';
import type { Desk } from './desk.ts';
import { type BackendOptions, BackendPlace, type BackendProcess, whenDone } from './place.ts';
import type { Wrong } from './wrong.ts';

export type DialInBackendOptions = BackendOptions & {
  /** Where the gateways take backends: `g1/attach`. */
  readonly gateways: readonly string[];
  /** `backend` is the configured one that it serves. */
  readonly link: LinkOptions & { readonly backend: string; readonly token: string };
};

const CONNECT_MS_MAX = 5_000;
const BACKOFF_MS = { first: 100, most: 4_000 } as const;
/** A Link of this age was a good one: the next attempt comes soon. */
const GOOD_MS = 1_000;
const STOP_MS_MAX = 16_000;

export class DialInBackend extends BackendPlace {
  readonly isOnBus = false;
  readonly wrongs: readonly Wrong[] = [
    ...['twice', 'late', 'never', 'slow', 'garbage', 'strange', 'refused', 'future', 'deaf'] as const, // prettier-ignore
  ];
  readonly #options: DialInBackendOptions;

  constructor(options: DialInBackendOptions) {
    super(options);
    this.#options = options;
  }

  protected begin(desk: Desk): BackendProcess {
    return new DialInProcess(desk, this.#options);
  }
}

class DialInProcess implements BackendProcess {
  readonly #desk: Desk;
  readonly #attachments: readonly Attachment[];

  constructor(desk: Desk, options: DialInBackendOptions) {
    this.#desk = desk;
    this.#attachments = options.gateways.map((address) => new Attachment(desk, options, address));
    for (const one of this.#attachments) one.connect();
  }

  get couriers(): Conversation[] {
    return this.#attachments.flatMap(({ link }) => (link === null ? [] : [link]));
  }

  stop(done: () => void): void {
    for (const one of this.#attachments) one.stop();
    whenDone(this.#desk.node, () => this.couriers.length === 0, STOP_MS_MAX, done);
  }

  deafen(ms: number): void {
    for (const one of this.#attachments) one.deafen(ms);
  }
}

/** To one gateway. */
class Attachment {
  link: Conversation | null = null;
  readonly #desk: Desk;
  readonly #options: DialInBackendOptions;
  readonly #address: string;
  #links = 0;
  #waitMs: number = BACKOFF_MS.first;
  #deafUntilMs = 0;
  #isStopped = false;
  #giveUp: CancelTimer = () => {};

  constructor(desk: Desk, options: DialInBackendOptions, address: string) {
    this.#desk = desk;
    this.#options = options;
    this.#address = address;
  }

  connect(): void {
    const { node } = this.#desk;
    const attempt = this.#options.network.connect<AttachWire>(node, this.#address, NEAR, {
      onOpen: (end) => {
        late();
        this.#open(end);
      },
      onRefused: () => {
        late();
        this.#again();
      },
    });
    const late = node.after(CONNECT_MS_MAX, () => {
      attempt();
      this.#again();
    });
    this.#giveUp = () => {
      attempt();
      late();
    };
  }

  #open(end: End<AttachWire>): void {
    const { node } = this.#desk;
    const { world } = node;
    const name = `${node.name}/attach${++this.#links}/${this.#address}`;
    const sinceMs = world.nowMs;
    const socket = new BackendSide(end, ({ how, text }: Ending) => {
      world.trace(`${name} ended ${how}`);
      if (how === 'unauthenticated')
        world.violate('who may attach attaches', `${name}: ${how}: ${text}`);
    });
    this.link = new Conversation(socket, this.#desk, this.#options.link, {
      name,
      onOver: () => {
        this.link = null;
        if (world.nowMs - sinceMs > GOOD_MS) this.#waitMs = BACKOFF_MS.first;
        this.#again();
      },
    });
    if (world.nowMs < this.#deafUntilMs) this.link.pause();
  }

  #again(): void {
    if (this.#isStopped) return;
    const { node, random } = this.#desk;
    const waitMs = this.#waitMs * random.between(0.5, 1.5);
    this.#waitMs = Math.min(this.#waitMs * 2, BACKOFF_MS.most);
    this.#giveUp = node.after(waitMs, () => {
      this.connect();
    });
  }

  stop(): void {
    this.#isStopped = true;
    if (this.link === null) this.#giveUp();
    else this.link.leave();
  }

  deafen(ms: number): void {
    const { node } = this.#desk;
    this.#deafUntilMs = Math.max(this.#deafUntilMs, node.world.nowMs + ms);
    this.link?.pause();
    node.after(ms, () => {
      if (node.world.nowMs >= this.#deafUntilMs) this.link?.resume();
    });
  }
}
