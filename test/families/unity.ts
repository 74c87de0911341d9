/**
 * pomelo-dotnetClient 0.3.0 (NetEase/pomelo-unityclient-socket), the C# client of Unity games; file and function are
 * named with each behaviour. Plain TCP over IPv4. An exception on its socket's thread ends a game, or leaves it deaf.
 */
import { type Json, Double } from './double.ts';
import { dialTcp, type Target } from './line.ts';
import { checkDefinitions, decode, type Definitions, encode, UNITY } from './protobuf.ts';
import * as simpleJson from './simple-json.ts';
import { readUtf8 } from './text.ts';
import { Cursor, message, MessageType, pack, PackageType, Trouble, varint } from './wire.ts';

export class Unity extends Double {
  isShaken = false;
  #dict: Readonly<Record<string, number>> = {};
  #server: Definitions = {};
  #client: Definitions = {};
  #lastAt = 0;

  static async connect(target: Target, user?: Json): Promise<Unity> {
    const client = new Unity(await dialTcp({ port: target.port }));
    await client.start(user);
    return client;
  }

  private constructor(line: Awaited<ReturnType<typeof dialTcp>>) {
    super(line);
  }

  /** HandShakeService.cs `buildMsg`. */
  protected opening(user: Json = {}): Buffer {
    const sys = { version: '0.3.0', type: 'unity-socket' };
    return Buffer.from(simpleJson.print({ sys, user }));
  }

  /** MessageProtocol.cs `encode`: its buffer for the head holds an id of four bytes. */
  protected encode(id: number, route: string, body: Json): Buffer {
    const bytes = Object.hasOwn(this.#client, route)
      ? encode(this.#client, route, body, UNITY)
      : Buffer.from(simpleJson.print(body));
    const coded = Object.hasOwn(this.#dict, route) ? this.#dict[route]! : route;
    return message(id === 0 ? null : varint(id), coded, bytes);
  }

  /** Protocol.cs `processMessage`: what does not fit the state is passed over. */
  protected onPackage(type: number, body: Buffer): void {
    if (type === PackageType.HANDSHAKE && !this.isShaken) {
      this.#onHandshake(simpleJson.parse(body));
    } else if (type === PackageType.HEARTBEAT && this.isShaken) {
      this.#lastAt = performance.now();
    } else if (type === PackageType.DATA && this.isShaken) {
      this.#lastAt = performance.now();
      this.#onData(body);
    } else if (type === PackageType.KICK) {
      this.tell({ kind: 'kick', body: undefined });
      this.leave();
    }
  }

  /** Protocol.cs `processHandshakeData`. */
  #onHandshake(answer: Json): void {
    const { code, sys, user } = answer;
    if (code !== 200 || !isObject(sys))
      throw new Trouble(`throws: handshake ${JSON.stringify(answer)}`);
    if (user !== undefined && user !== null && !isObject(user)) throw new Trouble('throws: user');
    if (sys['dict'] !== undefined) this.#takeDictionary(sys['dict']);
    if (sys['protos'] !== undefined) this.#takeProtos(sys['protos']);
    const seconds = sys['heartbeat'] ?? 0;
    if (!Number.isInteger(seconds))
      throw new Trouble(`throws or rounds: heartbeat ${JSON.stringify(seconds)}`);
    if ((seconds as number) > 0) this.#beat((seconds as number) * 1_000);
    this.write(pack(PackageType.ACK));
    this.isShaken = true;
  }

  /** MessageProtocol.cs: each code must be an unsigned short, and stand for one route. */
  #takeDictionary(dict: unknown): void {
    if (!isObject(dict)) throw new Trouble('throws: dict');
    const codes = Object.values(dict) as number[];
    const areShorts = codes.every((code) => Number.isInteger(code) && code >= 0 && code <= 0xffff);
    if (!areShorts || new Set(codes).size !== codes.length) throw new Trouble('throws: dict');
    this.#dict = dict as Record<string, number>;
  }

  #takeProtos(protos: unknown): void {
    if (!isObject(protos)) throw new Trouble('throws: protos');
    checkDefinitions(protos['server']);
    checkDefinitions(protos['client']);
    this.#server = protos['server'];
    this.#client = protos['client'];
  }

  /** HeartBeatService.cs `sendHeartBeat`: on its own clock, as long as something came within two intervals. */
  #beat(everyMs: number): void {
    this.#lastAt = performance.now();
    const next = (): void => {
      if (performance.now() - this.#lastAt > everyMs * 2) {
        throw new Trouble('disconnects: heartbeat timeout');
      }
      this.write(pack(PackageType.HEARTBEAT));
      this.after(everyMs, next);
    };
    this.after(everyMs, next);
  }

  /** MessageProtocol.cs `decode`: what it cannot place becomes a null, which PomeloClient.cs then uses. */
  #onData(bytes: Buffer): void {
    const cursor = new Cursor(bytes);
    const flag = cursor.byte();
    const type = (flag >> 1) & 7;
    if (type === MessageType.RESPONSE) {
      const id = cursor.varint();
      const route = this.asked.get(id);
      if (route === undefined)
        throw new Trouble(`throws: an answer to ${id}, which it did not ask`);
      this.asked.delete(id);
      this.tell({ kind: 'answer', id, body: this.#readBody(route, cursor.rest()), error: false });
    } else if (type === MessageType.PUSH) {
      const route = this.#readRoute(cursor, flag);
      this.tell({ kind: 'push', route, body: this.#readBody(route, cursor.rest()) });
    } else {
      throw new Trouble(`throws: message type ${type}`);
    }
  }

  #readRoute(cursor: Cursor, flag: number): string {
    if ((flag & 1) === 0) return readUtf8(cursor.take(cursor.byte()));
    const code = cursor.u16();
    const found = Object.entries(this.#dict).find(([, one]) => one === code);
    if (found === undefined) throw new Trouble(`throws: no route has the code ${code}`);
    return found[0];
  }

  #readBody(route: string, bytes: Buffer): Json {
    if (!Object.hasOwn(this.#server, route)) return simpleJson.parse(bytes);
    return decode(this.#server, route, bytes, UNITY) as Json;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
