/**
 * libpomelo2 0.3.5 (NetEase/libpomelo2, also under its C#, Java and Lua bindings); file and function are named with
 * each behaviour. TCP, or TLS.
 */
import * as cJson from './c-json.ts';
import { type Json, Double } from './double.ts';
import { dialTcp, type Target } from './line.ts';
import { C, checkDefinitions, decode, type Definitions, encode } from './protobuf.ts';
import { Cursor, message, MessageType, pack, PackageType, Trouble, varint } from './wire.ts';

type Dictionary = {
  readonly version: string;
  readonly routeToCode: Json;
  readonly codeToRoute: Json;
};
type Protos = {
  readonly version: string;
  readonly server: Definitions;
  readonly client: Definitions;
};

/** What `local_storage_cb` keeps: tr_uv_tcp_aux.c `tcp__on_handshake_resp`, tr_uv_tcp_i.c `tr_uv_tcp_init`. */
export type Storage = { dictionary?: Dictionary | undefined; protos?: Protos | undefined };

export class Libpomelo2 extends Double {
  isShaken = false;
  readonly #storage: Storage;
  #heartbeatMs = -1;
  #isWaiting = false;
  #deadline: NodeJS.Timeout | undefined;

  static async connect(target: Target, storage: Storage = {}, user?: Json): Promise<Libpomelo2> {
    const client = new Libpomelo2(await dialTcp(target), storage);
    await client.start(user);
    return client;
  }

  private constructor(line: Awaited<ReturnType<typeof dialTcp>>, storage: Storage) {
    super(line);
    this.#storage = storage;
  }

  /** tr_uv_tcp_aux.c `tcp__send_handshake`: `user` is the options as a whole. */
  protected opening(user: Json | undefined): Buffer {
    const { dictionary, protos } = this.#storage;
    const sys = {
      ...(protos !== undefined && { protoVersion: protos.version }),
      ...(dictionary !== undefined && { dictVersion: dictionary.version }),
      type: 'desktop',
      version: '0.3.5-release',
    };
    return Buffer.from(cJson.print(user === undefined ? { sys } : { sys, user }));
  }

  /** pr_msg.c `pc_default_msg_encode`. */
  protected encode(id: number, route: string, body: Json): Buffer {
    const { dictionary, protos } = this.#storage;
    const definition = cJson.member(protos?.client, route);
    const bytes =
      definition === undefined
        ? Buffer.from(cJson.print(body))
        : encode(protos!.client, route, body, C);
    const code = cJson.member(dictionary?.routeToCode, route);
    const isCoded = typeof code === 'number' && code > 0;
    return message(id === 0 ? null : varint(id), isCoded ? code : route, bytes);
  }

  /** tr_uv_tcp_i.c `tr_tcp_on_pkg_handler`: it asserts that nothing else comes. */
  protected onPackage(type: number, body: Buffer): void {
    if (type === PackageType.HANDSHAKE) this.#onHandshake(body);
    else if (type === PackageType.HEARTBEAT) this.#onHeartbeat();
    else if (type === PackageType.DATA) this.#onData(body);
    else if (type === PackageType.KICK) this.#onKick();
    else throw new Trouble(`asserts: package type ${type}`);
  }

  #onHandshake(body: Buffer): void {
    if (this.isShaken) throw new Trouble('asserts: a second answer to the handshake');
    const answer = cJson.parse(body);
    if (cJson.member(answer, 'code') !== 200) throw new Trouble(`fails: handshake ${String(body)}`);
    const sys = cJson.member(answer, 'sys');
    if (sys === undefined) throw new Trouble('fails: a handshake without sys');
    const seconds = cJson.member(sys, 'heartbeat');
    if (seconds !== undefined && !Number.isInteger(seconds)) {
      throw new Trouble(`cuts the heartbeat ${JSON.stringify(seconds)} to an integer`);
    }
    if (typeof seconds === 'number' && seconds > 0) this.#heartbeatMs = seconds * 1_000;
    this.#takeDictionary(sys as Json);
    this.#takeProtos(sys as Json);
    this.write(pack(PackageType.ACK));
    this.isShaken = true;
    this.#beatLater();
  }

  /** All three keys or none; and once the gateway says that it uses one, the client must have it. */
  #takeDictionary(sys: Json): void {
    const isUsed = cJson.member(sys, 'useDict');
    if (isUsed === undefined || isUsed === false) {
      this.#storage.dictionary = undefined;
      return;
    }
    const routeToCode = cJson.member(sys, 'routeToCode') as Json | undefined;
    const codeToRoute = cJson.member(sys, 'codeToRoute') as Json | undefined;
    const version = cJson.member(sys, 'dictVersion') as string | undefined;
    if (version !== undefined && routeToCode !== undefined && codeToRoute !== undefined) {
      this.#storage.dictionary = { version, routeToCode, codeToRoute };
    } else if (version ?? routeToCode ?? codeToRoute) {
      throw new Trouble('asserts: some keys of a dictionary');
    }
    if (this.#storage.dictionary === undefined)
      throw new Trouble('asserts: useDict, and no dictionary');
  }

  #takeProtos(sys: Json): void {
    const isUsed = cJson.member(sys, 'useProto');
    if (isUsed === undefined || isUsed === false) {
      this.#storage.protos = undefined;
      return;
    }
    const protos = cJson.member(sys, 'protos');
    const server = cJson.member(protos, 'server');
    const client = cJson.member(protos, 'client');
    const version = cJson.member(protos, 'version') as string | undefined;
    if (version !== undefined && server !== undefined && client !== undefined) {
      checkDefinitions(server);
      checkDefinitions(client);
      this.#storage.protos = { version, server, client };
    } else if (version ?? server ?? client) {
      throw new Trouble('asserts: some keys of protos');
    }
    if (this.#storage.protos === undefined) throw new Trouble('asserts: useProto, and no protos');
  }

  /** `tcp__heartbeat_timer_cb`: it sends one, and must get one within twice the interval; data does not count. */
  #beatLater(): void {
    if (this.#heartbeatMs < 0) return;
    this.after(this.#heartbeatMs, () => {
      this.write(pack(PackageType.HEARTBEAT));
      this.#isWaiting = true;
      this.#deadline = this.after(this.#heartbeatMs * 2, () => {
        throw new Trouble('reconnects: heartbeat timeout');
      });
    });
  }

  /** `tcp__on_heartbeat`: one that it does not wait for is passed over. */
  #onHeartbeat(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.stop(this.#deadline);
    this.#beatLater();
  }

  /** `tcp__on_kick_recieved`: it resets, and stays away. */
  #onKick(): void {
    this.tell({ kind: 'kick', body: undefined });
    this.leave();
  }

  /** pr_msg.c `pc_default_msg_decode`, tr_uv_tcp_aux.c `tcp__on_data_recieved`. */
  #onData(bytes: Buffer): void {
    const cursor = new Cursor(bytes);
    const flag = cursor.byte();
    const type = flag >> 1;
    if (type > MessageType.PUSH) throw new Trouble(`reconnects: unknown message type ${type}`);
    const hasId = type === MessageType.RESPONSE || type === MessageType.REQUEST;
    const id = hasId ? cursor.varint() : 0;
    const route = type === MessageType.RESPONSE ? null : this.#readRoute(cursor, flag);
    const body = this.#readBody(route, cursor.rest());
    if (type === MessageType.REQUEST) throw new Trouble('asserts: a request from the server');
    if (route !== null) {
      this.tell({ kind: 'push', route, body });
      return;
    }
    if (id === 0) throw new Trouble('reconnects: an answer with the id 0');
    // One that nobody waits for is logged and passed over.
    if (this.asked.delete(id)) this.tell({ kind: 'answer', id, body, error: false });
  }

  #readRoute(cursor: Cursor, flag: number): string {
    if ((flag & 1) === 0) return cursor.take(cursor.byte()).toString();
    const code = cursor.u16();
    const route = this.#storage.dictionary?.codeToRoute[code];
    if (typeof route !== 'string') throw new Trouble(`asserts: no route has the code ${code}`);
    return route;
  }

  /** Pushes may be protobuf; answers are always parsed as JSON, since their route is not looked up. */
  #readBody(route: string | null, bytes: Buffer): unknown {
    if (bytes.length === 0) throw new Trouble('reconnects: a message without a body');
    const server = this.#storage.protos?.server;
    const isCoded = route !== null && cJson.member(server, route) !== undefined;
    return isCoded ? decode(server!, route, bytes, C) : cJson.parse(bytes);
  }
}
