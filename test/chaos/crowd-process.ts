/**
 * A crowd of clients in a process of its own, over TCP, each as cheap as it can be: it shakes hands, answers
 * heartbeats, asks for its sid once, and now and then asks again. It knows no code of the gateway, and counts what
 * comes of each request.
 */
import net from 'node:net';

import { message, packet } from '../border/client.ts';
import type { Said, Tally, Told } from './crowd.ts';

const [HANDSHAKE, ACK, HEARTBEAT, DATA] = [1, 2, 3, 4];
const GREETING = packet(HANDSHAKE, Buffer.from('{"sys":{"type":"crowd","version":"1"},"user":{}}'));
const RESPONSE = 2;
const ROUTE = process.argv[2]!;
/** Connections that are being made at the same time. */
const AT_ONCE = 30;
const TICK_MS = 20;
/** As long as clients in JavaScript wait before they answer one; answered at once, it would come back at once. */
const HEARTBEAT_MS = 15_000;

const members = new Set<Member>();
const tally = { asked: 0, once: 0, twice: 0, refused: 0, cut: 0, crossed: 0, kicked: 0 };
let perSecond = 0;
let due = 0;
let tickedAt = performance.now();
let lastNumber = 0;
let turn: Iterator<Member> = members.values();

class Member {
  readonly port: number;
  sid = '';
  isOpen = true;
  /** By id: the number that the answer must have. */
  readonly #open = new Map<number, number>();
  #lastId = 0;
  #rest: Buffer = Buffer.alloc(0);
  #welcome: () => void = () => {};
  readonly #socket: net.Socket;

  constructor(port: number) {
    this.port = port;
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('error', () => {});
    this.#socket.on('data', (data) => {
      this.#take(data);
    });
    this.#socket.on('close', () => {
      this.isOpen = false;
      tally.cut += this.#open.size;
      this.#open.clear();
      members.delete(this);
      this.#welcome();
    });
  }

  /** Until it has its sid; '' if the connection has ended before. */
  async join(): Promise<void> {
    const welcomed = new Promise<void>((resolve) => {
      this.#welcome = resolve;
    });
    this.#write(GREETING);
    await welcomed;
    if (this.isOpen) members.add(this);
  }

  get open(): number {
    return this.#open.size;
  }

  ask(): void {
    const [id, number] = [++this.#lastId, ++lastNumber];
    this.#open.set(id, number);
    tally.asked++;
    this.#write(packet(DATA, message(id, ROUTE, Buffer.from(`{"n":${number}}`))));
  }

  leave(): void {
    this.#socket.end();
  }

  #write(bytes: Buffer): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  #take(data: Buffer): void {
    let bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    while (bytes.length >= 4) {
      const end = 4 + bytes.readUIntBE(1, 3);
      if (bytes.length < end) break;
      this.#onPacket(bytes[0]!, bytes.subarray(4, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
  }

  #onPacket(type: number, body: Buffer): void {
    if (type === HANDSHAKE) {
      this.#write(packet(ACK!));
      this.ask();
    } else if (type === HEARTBEAT) this.#beatLater();
    else if (type === DATA) this.#onMessage(body);
    else tally.kicked++;
  }

  #beatLater(): void {
    setTimeout(() => {
      this.#write(packet(HEARTBEAT!));
    }, HEARTBEAT_MS).unref();
  }

  #onMessage(bytes: Buffer): void {
    if (((bytes[0]! >> 1) & 7) !== RESPONSE) return;
    let id = 0;
    let at = 1;
    for (let by = 1; ; by *= 128) {
      const byte = bytes[at++]!;
      id += (byte & 127) * by;
      if (byte < 128) break;
    }
    const number = this.#open.get(id);
    this.#open.delete(id);
    const { sid, n, code } = JSON.parse(bytes.toString('utf8', at)) as Answer;
    if (number === undefined) tally.twice++;
    else if (sid === undefined) tally.refused++;
    else if (n !== number || (this.sid !== '' && this.sid !== sid)) tally.crossed++;
    else tally.once++;
    if (this.sid !== '') return;
    if (sid === undefined) throw new Error(`a client was not told its sid: code ${code}`);
    this.sid = sid;
    this.#welcome();
  }
}

type Answer = { readonly sid?: string; readonly n?: number; readonly code?: number };

setInterval(() => {
  const now = performance.now();
  due += (perSecond * (now - tickedAt)) / 1_000;
  tickedAt = now;
  while (due >= 1 && members.size > 0) {
    due--;
    let next = turn.next();
    if (next.done === true) {
      turn = members.values();
      next = turn.next();
    }
    if (next.done !== true) next.value.ask();
  }
}, TICK_MS);

async function join(port: number, count: number): Promise<string[]> {
  const joined: Member[] = [];
  const worker = async (): Promise<void> => {
    while (joined.length < count) {
      const member = new Member(port);
      joined.push(member);
      await member.join();
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, AT_ONCE) }, worker));
  return joined.filter(({ isOpen }) => isOpen).map(({ sid }) => sid);
}

function at(port: number): Member[] {
  return [...members].filter((member) => member.port === port);
}

function leave(port: number, count: number): string[] {
  const leaving = at(port).slice(0, count);
  for (const member of leaving) {
    members.delete(member);
    member.leave();
  }
  return leaving.map(({ sid }) => sid);
}

function look(): Tally {
  const ports: Record<number, number> = {};
  let open = 0;
  for (const member of members) {
    ports[member.port] = (ports[member.port] ?? 0) + 1;
    open += member.open;
  }
  return { ...tally, open, ports };
}

async function answer(told: Told): Promise<Said> {
  switch (told.tell) {
    case 'join':
      return { sids: await join(told.port, told.count) };
    case 'leave':
      return { sids: leave(told.port, told.count) };
    case 'who':
      return { sids: at(told.port).map(({ sid }) => sid) };
    case 'ask':
      perSecond = told.perSecond;
      return {};
    case 'look':
      return { tally: look() };
  }
}

process.on('message', (told: Told & { readonly number: number }) => {
  void answer(told).then((said) => process.send!({ ...said, number: told.number }));
});
process.on('disconnect', () => process.exit(0));
