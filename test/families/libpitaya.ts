/**
 * libpitaya 4.6 (topfreegames/libpitaya, also under its Unity, Java and iOS bindings); file and function are named with
 * each behaviour. TCP, or TLS. What it does with bodies is the application's: here JSON, the default serializer.
 */
import { deflateSync, unzipSync } from 'node:zlib';

import * as cJson from './c-json.ts';
import { type Json, Double } from './double.ts';
import { dialTcp, type Target } from './line.ts';
import { parseJson, readUtf8 } from './text.ts';
import { Cursor, message, MessageType, pack, PackageType, Trouble, varint } from './wire.ts';

/** tr_uv_tcp_aux.c `tcp__heartbeat_timer_cb`: intervals without any package, after which it reconnects. */
const SILENT_INTERVALS = 6;

export class Libpitaya extends Double {
  isShaken = false;
  /** What the gateway said that bodies are. */
  serializer = '';
  #lastPackageAt = performance.now();

  static async connect(target: Target, user?: Json): Promise<Libpitaya> {
    const client = new Libpitaya(await dialTcp(target));
    await client.start(user);
    return client;
  }

  private constructor(line: Awaited<ReturnType<typeof dialTcp>>) {
    super(line);
  }

  /** tr_uv_tcp_aux.c `tcp__send_handshake`, with the defaults of pc_lib.c `pc_lib_init`. */
  protected opening(user: Json | undefined): Buffer {
    const sys = {
      platform: 'desktop',
      libVersion: '4.6.2-',
      clientBuildNumber: '1',
      clientVersion: '0.1',
    };
    return Buffer.from(cJson.print(user === undefined ? { sys } : { sys, user }));
  }

  /** pr_msg.c `pc_default_msg_encode`: zlib where that is smaller, and never a code, since it has no dictionary. */
  protected encode(id: number, route: string, body: Json): Buffer {
    const plain = Buffer.from(JSON.stringify(body));
    const small = deflateSync(plain);
    const isSmaller = small.length < plain.length;
    return message(id === 0 ? null : varint(id), route, isSmaller ? small : plain, isSmaller);
  }

  /** tr_uv_tcp_i.c `tr_tcp_on_pkg_handler`. */
  protected onPackage(type: number, body: Buffer): void {
    this.#lastPackageAt = performance.now();
    if (type === PackageType.HANDSHAKE) this.#onHandshake(body);
    else if (type === PackageType.HEARTBEAT) this.#onHeartbeat();
    else if (type === PackageType.DATA) this.#onData(body);
    else if (type === PackageType.KICK) this.#onKick();
    else throw new Trouble(`asserts: package type ${type}`);
  }

  #onHandshake(bytes: Buffer): void {
    if (this.isShaken) throw new Trouble('asserts: a second answer to the handshake');
    const answer = cJson.parse(isCompressed(bytes) ? inflate(bytes) : bytes);
    if (cJson.member(answer, 'code') !== 200)
      throw new Trouble(`fails: handshake ${String(answer)}`);
    const sys = cJson.member(answer, 'sys');
    if (sys === undefined) throw new Trouble('fails: a handshake without sys');
    const isDictionaryUsed = cJson.member(sys, 'useDict');
    // It has no code any more that would load one.
    if (isDictionaryUsed !== undefined && isDictionaryUsed !== false) {
      throw new Trouble('asserts: useDict');
    }
    const serializer = cJson.member(sys, 'serializer');
    this.serializer = typeof serializer === 'string' ? serializer : 'json';
    this.write(pack(PackageType.ACK));
    this.isShaken = true;
    const seconds = cJson.member(sys, 'heartbeat');
    if (seconds !== undefined && !Number.isInteger(seconds)) {
      throw new Trouble(`cuts the heartbeat ${JSON.stringify(seconds)} to an integer`);
    }
    if (typeof seconds === 'number' && seconds > 0) this.#beat(seconds * 1_000);
  }

  /** On its own clock, whatever comes. */
  #beat(everyMs: number): void {
    this.after(everyMs, () => {
      if (performance.now() - this.#lastPackageAt > everyMs * SILENT_INTERVALS) {
        throw new Trouble('reconnects: heartbeat timeout');
      }
      this.write(pack(PackageType.HEARTBEAT));
      this.#beat(everyMs);
    });
  }

  #onHeartbeat(): void {
    if (!this.isShaken) throw new Trouble('asserts: a heartbeat before the handshake');
  }

  #onKick(): void {
    this.tell({ kind: 'kick', body: undefined });
    this.leave();
  }

  /** pr_msg.c `pc_msg_decode_to_raw`, tr_uv_tcp_aux.c `tcp__on_data_recieved`. */
  #onData(bytes: Buffer): void {
    const cursor = new Cursor(bytes);
    const flag = cursor.byte();
    const type = (flag >> 1) & 7;
    if (type > MessageType.PUSH) throw new Trouble(`reconnects: unknown message type ${type}`);
    const hasId = type === MessageType.RESPONSE || type === MessageType.REQUEST;
    const id = hasId ? cursor.varint() : 0;
    const route = type === MessageType.RESPONSE ? null : readRoute(cursor, flag);
    const raw = cursor.rest();
    const body = (flag & 0x10) !== 0 && raw.length > 0 ? inflate(raw) : raw;
    if (type === MessageType.REQUEST) throw new Trouble('asserts: a request from the server');
    if (route !== null) this.#onPush(route, body);
    else if (id === 0) throw new Trouble('reconnects: an answer with the id 0');
    else this.#onAnswer(id, body, (flag & 0x20) !== 0);
  }

  /** pc_trans.c `pc__trans_push` drops one without a body. */
  #onPush(route: string, body: Buffer): void {
    if (body.length === 0) throw new Trouble('loses a push without a body');
    this.tell({ kind: 'push', route, body: parseBody(body) });
  }

  #onAnswer(id: number, body: Buffer, error: boolean): void {
    // pc_error.h `pc__error_server`.
    if (error && body.length === 0) throw new Trouble('asserts: an error without a body');
    if (!this.asked.delete(id)) return;
    this.tell({ kind: 'answer', id, body: parseBody(body), error });
  }
}

function readRoute(cursor: Cursor, flag: number): string {
  if ((flag & 1) === 1) throw new Trouble('asserts: the code of a route');
  return cursor.take(cursor.byte()).toString();
}

/** pr_gzip.c `is_compressed`. */
function isCompressed(bytes: Buffer): boolean {
  if (bytes.length <= 2) return false;
  const isZlib = bytes[0] === 0x78 && [0x01, 0x5e, 0x9c, 0xda].includes(bytes[1]!);
  return isZlib || (bytes[0] === 0x1f && bytes[1] === 0x8b);
}

/** pr_gzip.c `pr_decompress`: zlib or gzip. */
function inflate(bytes: Buffer): Buffer {
  try {
    return unzipSync(bytes);
  } catch (error) {
    throw new Trouble(`reconnects: ${String(error)}`);
  }
}

/** The application's part; an empty body is its affair. */
function parseBody(bytes: Buffer): unknown {
  return bytes.length === 0 ? undefined : parseJson(readUtf8(bytes));
}
