/**
 * A client that does what none should: noise, packets that are cut off or of no type, messages that cannot be read,
 * ids in use, routes of nobody. It is answered by the contract, or its connection is ended; the others do not notice.
 */
import { type End, FAR } from './channel.ts';
import type { Network } from './network.ts';
import type { Ledger } from './ledger.ts';
import { type Ask, type Client, newClient } from './records.ts';
import { ACK, HANDSHAKE, HEARTBEAT, message, type Packet, readPackets } from './packets.ts';
import type { SeededRandom } from './random.ts';
import { PING } from './sockets.ts';
import { Node, type World } from './world.ts';

export type WrongSurroundings = {
  readonly world: World;
  readonly network: Network;
  readonly ledger: Ledger;
  /** A route that is answered, without order. */
  readonly route: string;
  readonly gatewayFor: (random: SeededRandom) => string | null;
  /** Nothing keeps the gateway at this address, or the way to it, from working. */
  readonly isCalm: (address: string, client: string) => boolean;
  /** It stays away. */
  readonly isQuiet: () => boolean;
};

/** Milliseconds: between two connections, in the mean, and within which a wrong one must be ended. */
const PACE_MS = 25_000;
/** Longer than a gateway waits for a handshake, and, after it, for the rest of a packet. */
const LIFE_MS = 13_000;
const WATCH_MS = 1_000;

/** What it must be answered, by id. */
type Expected = ReadonlyMap<number, string>;
type Act = {
  readonly name: string;
  /** null: it makes no handshake. */
  readonly bytes: (random: SeededRandom) => Buffer;
  readonly isFirst?: boolean;
  /** The gateway must end the connection. */
  readonly isEnded?: boolean;
  readonly expected?: Expected;
};

const HEAD = 4;

const ACTS: readonly Act[] = [
  { name: 'noise', isFirst: true, isEnded: true, bytes: noise },
  { name: 'silence', isFirst: true, isEnded: true, bytes: () => Buffer.alloc(0) },
  { name: 'noise inside', bytes: (random) => packet(4, noise(random)) },
  { name: 'a packet of no type', isEnded: true, bytes: () => packet(9, Buffer.from('nine')) },
  { name: 'too long', isEnded: true, bytes: () => Buffer.from([4, 0xff, 0xff, 0xff, 0, 0]) },
  { name: 'half a packet', isEnded: true, bytes: () => Buffer.from([4, 0, 0, 100, 0, 1, 2]) },
  {
    name: 'sixteen that cannot be read',
    isEnded: true,
    bytes: () => Buffer.concat(Array.from({ length: 16 }, () => packet(4, Buffer.from([0xfe])))),
  },
  {
    name: 'routes of nobody',
    bytes: () =>
      Buffer.concat(['nobody.home', 'a..b', 'pith.closed', ''].map((route, i) => message(i + 1, route, '{}'))), // prettier-ignore
    expected: new Map([
      [1, '404 NO_ROUTE'],
      [2, '400 BAD_ROUTE'],
      [3, '404 NO_ROUTE'],
      [4, '400 BAD_ROUTE'],
    ]),
  },
  {
    name: 'handshakes again, and many heartbeats',
    bytes: () => Buffer.concat([HANDSHAKE, ACK, ...Array<Buffer>(200).fill(HEARTBEAT), HANDSHAKE]),
  },
];

function noise(random: SeededRandom): Buffer {
  return Buffer.from(Array.from({ length: random.int(1, 300) }, () => random.int(0, 255)));
}

function packet(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEAD);
  head[0] = type;
  head.writeUIntBE(body.length, 1, 3);
  return Buffer.concat([head, body]);
}

/** One connection. */
type Visit = {
  readonly end: End;
  readonly address: string;
  readonly client: Client;
  /** null: it uses an id again while it is in use. */
  readonly act: Act | null;
  /** By n. */
  readonly asks: Map<number, Ask>;
  readonly answers: Map<number, string>;
  isOver: boolean;
  /** From its beginning on nothing kept the gateway from working. */
  isCalm: boolean;
  /** What is wrong has been said; before that nothing is due. */
  isSaid: boolean;
  /** How long it stays from now on, in milliseconds. */
  leftMs: number;
};

export class WrongClient {
  readonly name: string;
  readonly #node: Node;
  readonly #around: WrongSurroundings;
  readonly #random: SeededRandom;
  #visits = 0;

  constructor(name: string, around: WrongSurroundings) {
    this.name = name;
    this.#around = around;
    this.#node = new Node(around.world, name);
    this.#random = around.world.random(`player/${name}`);
    this.#later();
  }

  #later(): void {
    this.#node.after(this.#random.exponential(PACE_MS), () => {
      const { gatewayFor, isQuiet } = this.#around;
      const address = isQuiet() ? null : gatewayFor(this.#random);
      if (address === null) this.#later();
      else this.#connect(address);
    });
  }

  #connect(address: string): void {
    const { world, network, isCalm } = this.#around;
    const transport = this.#random.pick(['ws', 'tcp'] as const);
    const act = this.#random.chance(0.15) ? null : this.#random.pick(ACTS);
    const name = `${this.name}/${++this.#visits}`;
    world.trace(`${name} to ${address}: ${act?.name ?? 'ids again'}`);
    network.connect<Buffer>(this.#node, `${address}/${transport}`, FAR, {
      onOpen: (end) => {
        const client = newClient(name);
        const both = { asks: new Map<number, Ask>(), answers: new Map<number, string>() };
        const now = isCalm(address, this.name);
        const life = { isOver: false, isCalm: now, isSaid: false, leftMs: LIFE_MS };
        this.#open({ ...both, ...life, end, address, client, act });
      },
      onRefused: () => {
        this.#later();
      },
    });
  }

  #open(visit: Visit): void {
    const { end, act } = visit;
    const over = (): void => {
      visit.isOver = true;
    };
    end.handler = {
      onMessage: (bytes) => {
        if (visit.isOver) return;
        if (bytes.length === 0) end.send(PING, 2);
        else readPackets(bytes, (one) => { this.#onPacket(visit, one); }); // prettier-ignore
      },
      onEnd: () => {
        end.destroy('closed');
        over();
      },
      onCut: over,
    };
    visit.isSaid = act?.isFirst === true;
    this.#say(visit, act?.isFirst === true ? act.bytes(this.#random) : HANDSHAKE);
    this.#watch(visit);
  }

  /** In as many pieces as there are. */
  #say({ end }: Visit, bytes: Buffer): void {
    for (const piece of pieces(bytes, this.#random)) end.send(piece, piece.length);
  }

  #watch(visit: Visit): void {
    const { isCalm } = this.#around;
    this.#node.after(WATCH_MS, () => {
      visit.isCalm &&= isCalm(visit.address, this.name);
      visit.leftMs -= WATCH_MS;
      if (visit.leftMs > 0) this.#watch(visit);
      else this.#leave(visit);
    });
  }

  #onPacket(visit: Visit, one: Packet): void {
    if (one.kind === 'handshake') this.#onHandshake(visit, one.body);
    else if (one.kind === 'response') this.#onAnswer(visit, one.id, one.body);
    else if (one.kind === 'kick') {
      // It was let in as a user who is connected elsewhere.
      if (one.body.includes('logged_in_elsewhere')) visit.isCalm = false;
    } else if (one.kind === 'push') {
      const { p } = JSON.parse(one.body) as { p: number };
      this.#around.ledger.received(visit.client, p, one.body);
    }
  }

  #onHandshake(visit: Visit, body: string): void {
    const { code, user } = JSON.parse(body) as { code: number; user?: { uid?: string } };
    const { act, client, asks } = visit;
    // One that a backend has not let in does nothing wrong.
    if (code !== 200) visit.isCalm = false;
    if (code !== 200 || asks.size > 0 || client.uid !== '') return;
    if (user?.uid !== undefined) client.uids.add(user.uid);
    client.uid = null;
    // A backend may have taken its time to let it in.
    visit.isSaid = true;
    visit.leftMs = LIFE_MS;
    this.#say(visit, Buffer.concat([ACK, act === null ? this.#idsAgain(visit) : act.bytes(this.#random)])); // prettier-ignore
  }

  #idsAgain({ client, asks }: Visit): Buffer {
    const { ledger, route } = this.#around;
    const messages = [1, 2, 3].map((k) => {
      const what = { k, route, plan: {}, isNotify: false, padding: '' };
      const ask = ledger.asking(client, what);
      asks.set(ask.n, ask);
      return message(7, route, ask.body);
    });
    return Buffer.concat(messages);
  }

  #onAnswer({ act, asks, answers, client }: Visit, id: number, body: string): void {
    const { ledger, world } = this.#around;
    const {
      n = 0,
      by = '',
      code = 200,
      reason = '',
    } = JSON.parse(body) as {
      n?: number;
      by?: string;
      code?: number;
      reason?: string;
    };
    if (act === null) {
      // An error does not say which of them it is for.
      const ask = code === 200 ? asks.get(n) : [...asks.values()][0];
      if (ask === undefined || id !== 7)
        world.violate('each request is answered once', `${client.name} got ${id}: ${body}`);
      else ledger.answered(ask, code, reason, by);
      asks.delete(ask?.n ?? 0);
      answers.set(id, `${code}`);
      return;
    }
    const isExpected = act.expected === undefined || act.expected.get(id) === `${code} ${reason}`;
    if (answers.has(id) || !isExpected)
      world.violate('what is wrong is answered by the contract', `${client.name}, ${act.name}: ${id}: ${body}`); // prettier-ignore
    answers.set(id, `${code}`);
  }

  #leave(visit: Visit): void {
    const { act, answers, asks, client, end, isOver } = visit;
    const isCalm = visit.isCalm && visit.isSaid;
    const { ledger, world } = this.#around;
    const wrong = (what: string): void => {
      world.violate('what is wrong is answered, or ends', `${client.name}, ${act?.name}: ${what}`);
    };
    if (isCalm && act?.isEnded === true && !isOver) wrong('the connection is still there');
    const due = act === null ? 1 : (act.expected?.size ?? 0);
    if (isCalm && answers.size < due) wrong(`${answers.size} answers of ${due}`);
    visit.isOver = true;
    client.isOpen = false;
    for (const ask of asks.values()) ledger.lost(ask);
    end.destroy();
    this.#later();
  }
}

/** Cut anywhere, in up to four. */
export function pieces(bytes: Buffer, random: SeededRandom): Buffer[] {
  if (bytes.length < 2) return bytes.length === 0 ? [] : [bytes];
  const cuts = Array.from({ length: random.int(0, 3) }, () => random.int(1, bytes.length - 1));
  const ends = [...new Set(cuts), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}
