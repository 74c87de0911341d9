/**
 * Reads stories that go on, and holds what it gets against what it has: all of it so far, and then each part, once and in
 * its order; what is missing is announced, if it asked for that.
 */
import { type End, FAR } from './channel.ts';
import { ACK, handshake, message, type Packet, readPackets } from './packets.ts';
import type { SeededRandom } from './random.ts';
import { type Client, newClient, zeros } from './records.ts';
import { SAGAS, type SagaPart } from './sagas.ts';
import { Node } from './world.ts';
import type { WrongSurroundings } from './wrong-client.ts';

const ASK_MS = 2_000;
const STAY_MS = 60_000;
const AGAIN_MS = [500, 5_000] as const;
/** In which a client that reads is told what it has missed. */
const TOLD_MS_MAX = 10_000;

export const SAGA_RULES = {
  member: 'who is in no group gets none of its pushes',
  snapshot: 'what a snapshot has does not come again',
  once: 'a numbered push comes once, and in its order',
  gap: 'who asked is told what is missing',
  silent: 'who has not asked is told nothing',
  fair: 'while nothing goes wrong, nothing is missing',
} as const;

type Place = { readonly e: string; readonly n: number };
/** What it has of one story. */
type View = {
  /** Of the last answer, and whether nothing went wrong then. */
  readonly from: Place;
  readonly isFair: boolean;
  at: Place;
};
type Gap = { readonly group: string; readonly from: string; readonly to: string };

/** One connection. */
type Visit = {
  readonly end: End;
  readonly client: Client;
  readonly views: Map<string, View>;
  /** By id. */
  readonly asked: Map<number, string>;
  readonly gaps: Gap[];
  id: number;
  isOver: boolean;
};

type Around = WrongSurroundings & {
  /** What the bus has held back may still come. */
  readonly mayOvertake: () => boolean;
};

export class SagaReader {
  /** How often each rule was looked at. */
  readonly checks = zeros(Object.values(SAGA_RULES));
  readonly #name: string;
  readonly #node: Node;
  readonly #around: Around;
  readonly #random: SeededRandom;
  readonly #asksForGaps: boolean;
  #visits = 0;

  constructor(name: string, around: Around, asksForGaps: boolean) {
    this.#name = name;
    this.#around = around;
    this.#asksForGaps = asksForGaps;
    this.#node = new Node(around.world, name);
    this.#random = around.world.random(`player/${name}`);
    this.#again();
  }

  #check(rule: keyof SagaReader['checks'], isHeld: boolean, what: string): void {
    this.checks[rule]++;
    if (!isHeld) this.#around.world.violate(rule, what);
  }

  #again(): void {
    this.#node.after(this.#random.between(...AGAIN_MS), () => {
      const address = this.#around.isQuiet() ? null : this.#around.gatewayFor(this.#random);
      if (address === null) this.#again();
      else this.#connect(address);
    });
  }

  #connect(address: string): void {
    const { world, network } = this.#around;
    const name = `${this.#name}/${++this.#visits}`;
    world.trace(`${name} to ${address}`);
    network.connect<Buffer>(this.#node, `${address}/tcp`, FAR, {
      onOpen: (end) => {
        this.#open(name, end);
      },
      onRefused: () => {
        this.#again();
      },
    });
  }

  #open(name: string, end: End): void {
    const client = newClient(name);
    const visit: Visit = {
      ...{ end, client, views: new Map(), asked: new Map(), gaps: [], id: 0, isOver: false },
    };
    const over = (): void => {
      if (visit.isOver) return;
      visit.isOver = true;
      client.isOpen = false;
      this.#again();
    };
    end.handler = {
      onMessage: (bytes) => {
        if (visit.isOver || bytes.length === 0) return;
        readPackets(bytes, (one) => { this.#onPacket(visit, one); }); // prettier-ignore
      },
      onEnd: () => {
        end.destroy('closed');
        over();
      },
      onCut: over,
    };
    const bytes = handshake(this.#asksForGaps ? { pith: { gap: true } } : {});
    end.send(bytes, bytes.length);
    this.#node.after(this.#random.exponential(STAY_MS), () => {
      if (visit.isOver) return;
      end.destroy();
      over();
    });
    this.#leaveWhenQuiet(visit, over);
  }

  #leaveWhenQuiet(visit: Visit, over: () => void): void {
    this.#node.after(1_000, () => {
      if (visit.isOver) return;
      if (!this.#around.isQuiet()) {
        this.#leaveWhenQuiet(visit, over);
        return;
      }
      visit.end.destroy();
      over();
    });
  }

  #onPacket(visit: Visit, one: Packet): void {
    if (visit.isOver) return;
    if (one.kind === 'handshake') {
      const { code, user } = JSON.parse(one.body) as { code: number; user?: { uid?: string } };
      if (code !== 200) return;
      if (user?.uid !== undefined) visit.client.uids.add(user.uid);
      visit.client.uid = null;
      visit.end.send(ACK, ACK.length);
      this.#askLater(visit);
    } else if (one.kind === 'response') {
      this.#onAnswer(visit, one.id, one.body);
    } else if (one.kind === 'push') {
      if (one.route === 'onSaga') this.#onPart(visit, JSON.parse(one.body) as SagaPart);
      else if (one.route === 'pith.gap') this.#onGap(visit, JSON.parse(one.body) as Gap);
      else this.#around.ledger.received(visit.client, (JSON.parse(one.body) as { p: number }).p, one.body); // prettier-ignore
    }
  }

  #askLater(visit: Visit): void {
    this.#node.after(this.#random.exponential(ASK_MS), () => {
      if (visit.isOver) return;
      const saga = this.#random.pick(SAGAS);
      // Some do not wait for the first answer.
      const times = this.#random.chance(0.2) ? 2 : 1;
      for (let i = 0; i < times; i++) {
        const id = ++visit.id;
        visit.asked.set(id, saga);
        const bytes = message(id, `${saga}.state`, '{}');
        visit.end.send(bytes, bytes.length);
      }
      this.#askLater(visit);
    });
  }

  #onAnswer({ asked, client, views }: Visit, id: number, body: string): void {
    const saga = asked.get(id);
    asked.delete(id);
    const { code = 200, ...part } = JSON.parse(body) as SagaPart & { code?: number };
    this.#around.world.trace(`${client.name} answer ${saga} ${code} ${part.e}.${part.n}`);
    if (saga === undefined || code !== 200) return;
    const at = { e: part.e, n: part.n };
    views.set(saga, { from: at, at, isFair: this.#around.ledger.fairWeather.isFair });
  }

  #onGap({ client, gaps, views }: Visit, gap: Gap): void {
    const { ledger, world } = this.#around;
    const what = `${client.name} is told that ${gap.group} lacks ${gap.from} to ${gap.to}`;
    world.trace(what);
    gaps.push(gap);
    this.#check(SAGA_RULES.silent, this.#asksForGaps, what);
    this.#check(SAGA_RULES.member, views.has(gap.group), what);
    const isFair = views.get(gap.group)?.isFair === true && ledger.fairWeather.isFair;
    this.#check(SAGA_RULES.fair, !isFair, what);
  }

  #onPart(visit: Visit, { s, e, n }: SagaPart): void {
    const { ledger, mayOvertake, world } = this.#around;
    const view = visit.views.get(s);
    const at = view === undefined ? 'nothing' : `${view.at.e}.${view.at.n}`;
    const what = `${visit.client.name} got ${s} ${e}.${n} after ${at}`;
    world.trace(what);
    this.#check(SAGA_RULES.member, view !== undefined, what);
    if (view === undefined) return;
    const { from } = view;
    this.#check(SAGA_RULES.snapshot, e !== from.e || n > from.n, `${what}, of ${from.e}.${from.n}`);
    const isSame = e === view.at.e;
    if (isSame && n <= view.at.n) {
      this.#check(SAGA_RULES.once, mayOvertake(), what);
      return;
    }
    const isNext = isSame && n === view.at.n + 1;
    if (!isNext && view.isFair) this.#check(SAGA_RULES.fair, !ledger.fairWeather.isFair, what);
    if (!isNext && this.#asksForGaps) this.#expectGap(visit, s, { e, n: n - 1 }, what);
    view.at = { e, n };
  }

  /** Before the push, or soon after it where the client was too slow. */
  #expectGap(visit: Visit, group: string, last: Place, what: string): void {
    const isTold = (): boolean =>
      visit.gaps.some(({ group: one, to }) => {
        const [e, n] = to.split('.');
        return one === group && e === last.e && Number(n) >= last.n;
      });
    if (isTold()) {
      this.#check(SAGA_RULES.gap, true, what);
      return;
    }
    this.#node.after(TOLD_MS_MAX, () => {
      if (!visit.isOver) this.#check(SAGA_RULES.gap, isTold(), what);
    });
  }
}
