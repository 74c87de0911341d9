/**
 * libpomelo 0.3.4 (NetEase/libpomelo), the first C client; its file and function is named with each behaviour. Plain
 * TCP only. JSON is jansson's, with its order of keys.
 */
import { type Json, Double } from './double.ts';
import * as jansson from './jansson.ts';
import { dialTcp, type Target } from './line.ts';
import { C, checkDefinitions, decode, type Definitions, encode } from './protobuf.ts';
import { Cursor, message, MessageType, pack, PackageType, Trouble, varint } from './wire.ts';

/** Files that the client keeps between runs: pkg-handshake.c `pc__dump_file`. */
export type Files = { version?: string; server?: Definitions; client?: Definitions };

export class Libpomelo extends Double {
  isShaken = false;
  readonly #files: Files;
  #routeToCode: Readonly<Record<string, number>> = {};
  readonly #codeToRoute = new Map<number, string>();
  #protos: { server: Definitions; client: Definitions } | null = null;
  #heartbeatMs = -1;
  #nextBeat: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;

  static async connect(target: Target, files: Files = {}): Promise<Libpomelo> {
    const client = new Libpomelo(await dialTcp({ port: target.port }), files);
    await client.start();
    return client;
  }

  private constructor(line: Awaited<ReturnType<typeof dialTcp>>, files: Files) {
    super(line);
    this.#files = files;
  }

  /** pkg-handshake.c `pc__handshake_req`: `user` only where the application gave options. */
  protected opening(user: Json | undefined): Buffer {
    const sys: Record<string, unknown> = { type: 'c', version: '0.3.4' };
    if (this.#files.version !== undefined) sys['protoVersion'] = this.#files.version;
    return Buffer.from(jansson.print(user === undefined ? { sys } : { sys, user }));
  }

  /** protocol.c `pc__default_msg_encode_cb`: the dictionary's code wins, else the route as text. */
  protected encode(id: number, route: string, body: Json): Buffer {
    const { client = {} } = this.#protos ?? {};
    const bytes = Object.hasOwn(client, route)
      ? encode(client, route, body, C)
      : Buffer.from(jansson.print(body));
    const code = this.#routeToCode[route] ?? 0;
    return message(id === 0 ? null : varint(id), code > 0 ? code : route, bytes);
  }

  /** protocol.c `pc__pkg_cb`: an unknown type, or a failure below, stops the client. */
  protected onPackage(type: number, body: Buffer): void {
    if (type === PackageType.HANDSHAKE) this.#onHandshake(body);
    else if (type === PackageType.HEARTBEAT) this.#onHeartbeat();
    else if (type === PackageType.DATA) this.#onData(body);
    else if (type === PackageType.KICK) this.tell({ kind: 'kick', body: undefined });
    else throw new Trouble(`stops: unknown package type ${type}`);
  }

  /** pkg-handshake.c `pc__handshake_resp`; it takes one at any time. */
  #onHandshake(body: Buffer): void {
    const answer = jansson.parse(body) as Json;
    const text = body.toString();
    // `json_integer_value` of 200.0, or of nothing, is 0.
    if (jansson.integerIn(text, 'code') !== 200) throw new Trouble(`stops: handshake ${text}`);
    const sys = answer['sys'] as Json | undefined;
    if (sys !== undefined) this.#takeSys(sys, text);
    this.write(pack(PackageType.ACK));
    this.isShaken = true;
    this.#onHeartbeat();
  }

  #takeSys(sys: Json, text: string): void {
    const seconds = jansson.integerIn(text, 'heartbeat');
    if (sys['heartbeat'] !== undefined && seconds !== sys['heartbeat']) {
      throw new Trouble(`misreads the heartbeat: ${text}`);
    }
    this.#heartbeatMs = seconds > 0 ? seconds * 1_000 : -1;
    if (sys['dict'] !== undefined) this.#takeDictionary(sys['dict'] as Record<string, number>);
    // Its mere presence counts, `useProto: false` too.
    if (sys['useProto'] !== undefined) this.#takeProtos(sys['protos'] as Json | undefined);
  }

  /** Codes are kept modulo 256: where two routes share one, the one that is walked last wins. */
  #takeDictionary(dict: Readonly<Record<string, number>>): void {
    this.#routeToCode = dict;
    this.#codeToRoute.clear();
    for (const route of jansson.order(Object.keys(dict))) {
      this.#codeToRoute.set(dict[route]! & 0xff, route);
    }
  }

  #takeProtos(protos: Json | undefined): void {
    if (protos !== undefined) {
      checkDefinitions(protos['server']);
      checkDefinitions(protos['client']);
      this.#files.version = protos['version'] as string;
      this.#files.server = protos['server'];
      this.#files.client = protos['client'];
    }
    const { server, client } = this.#files;
    if (server === undefined || client === undefined) throw new Trouble('protos that it never had');
    this.#protos = { server, client };
  }

  /** pkg-heartbeat.c: whatever came before, the next one goes out after the interval, and must be answered in two. */
  #onHeartbeat(): void {
    this.stop(this.#deadline);
    this.stop(this.#nextBeat);
    if (this.#heartbeatMs < 0) return;
    this.#nextBeat = this.after(this.#heartbeatMs, () => {
      this.write(pack(PackageType.HEARTBEAT));
      this.#deadline = this.after(this.#heartbeatMs * 2, () => {
        throw new Trouble('stops: heartbeat timeout');
      });
    });
  }

  #onData(bytes: Buffer): void {
    const cursor = new Cursor(bytes);
    const flag = cursor.byte();
    // message.c `pc_msg_decode`: the type is all bits but the lowest.
    const type = flag >> 1;
    if (type > MessageType.PUSH) throw new Trouble(`stops: unknown message type ${type}`);
    const id = type === MessageType.RESPONSE || type === MessageType.REQUEST ? cursor.varint() : 0;
    const route = type === MessageType.RESPONSE ? this.#routeOf(id) : this.#readRoute(cursor, flag);
    const body = this.#readBody(route, cursor.rest());
    if (id > 0) this.tell({ kind: 'answer', id, body, error: false });
    else this.tell({ kind: 'push', route, body });
  }

  /** protocol.c `pc__default_msg_parse_cb`: an answer to no request stops the client. */
  #routeOf(id: number): string {
    const route = this.asked.get(id);
    if (route === undefined) throw new Trouble(`stops: an answer to ${id}, which it did not ask`);
    this.asked.delete(id);
    return route;
  }

  #readRoute(cursor: Cursor, flag: number): string {
    if ((flag & 1) === 1) {
      const code = cursor.u16();
      const route = this.#codeToRoute.get(code & 0xff);
      if (route === undefined) throw new Trouble(`stops: no route has the code ${code}`);
      if (this.#routeToCode[route] !== code) throw new Trouble(`takes code ${code} for ${route}`);
      return route;
    }
    const size = cursor.byte();
    // A signed char: from 128 on the length is negative. No route at all is a null pointer.
    if (size >= 128) throw new Trouble(`stops: a route of ${size} bytes`);
    if (size === 0) throw new Trouble('crashes: an empty route');
    return cursor.take(size).toString();
  }

  #readBody(route: string, bytes: Buffer): unknown {
    // Applications get a null pointer then.
    if (bytes.length === 0) throw new Trouble('gives its application no body');
    const { server = {} } = this.#protos ?? {};
    return Object.hasOwn(server, route) ? decode(server, route, bytes, C) : jansson.parse(bytes);
  }
}
