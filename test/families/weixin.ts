/**
 * pomelo-weixin-client 1.10 (wangsijie), for mini programs; file and function are named with each behaviour. It knows
 * neither dictionary nor protobuf, and takes every body for JSON.
 */
import { type Json } from './double.ts';
import { dialWebSocket, type Target } from './line.ts';
import { ScriptClient } from './script-client.ts';
import { cesu8, readUpToThreeBytes, readUtf8 } from './text.ts';
import { Cursor, message, MessageType, Trouble, Unpacker, varint } from './wire.ts';

const HEAD_BYTES = 4;

export class Weixin extends ScriptClient {
  protected readonly sys = { type: 'js-websocket', version: '0.0.1', rsa: {} };

  static async connect(target: Target, user?: Json): Promise<Weixin> {
    const client = new Weixin(await dialWebSocket(target));
    await client.start(user);
    return client;
  }

  private constructor(line: Awaited<ReturnType<typeof dialWebSocket>>) {
    super(line);
  }

  /** Package.js `decode` is given one frame at a time, and reads past its end. */
  protected override onBytes(frame: Buffer): void {
    const packages = new Unpacker().push(frame);
    const read = packages.reduce((sum, { body }) => sum + HEAD_BYTES + body.length, 0);
    if (read !== frame.length || read === 0) {
      throw new Trouble(`takes a part for a package: ${frame.toString('hex')}`);
    }
    for (const one of packages) this.takePackage(one);
  }

  /** Pomelo.js `defaultEncode`. */
  protected encode(id: number, route: string, body: Json): Buffer {
    return message(id === 0 ? null : varint(id), route, cesu8(JSON.stringify(body)));
  }

  /** Protocal.js `strdecode` knows four bytes too; halves of a surrogate pair come out right as well. */
  protected readText(bytes: Buffer): string {
    return bytes.includes(0xed) ? readUpToThreeBytes(bytes) : readUtf8(bytes);
  }

  /** Pomelo.js `handshakeInit` looks at the heartbeat alone. */
  protected onSys(): void {}

  /** Pomelo.js `onKick`: an empty body is no JSON. */
  protected kickBody(body: Buffer): unknown {
    return this.parseText(body);
  }

  /** Message.js `decode`, Pomelo.js `defaultDecode`: every body is JSON, and a code is passed on as the route. */
  protected onData(bytes: Buffer): void {
    const cursor = new Cursor(bytes);
    const flag = cursor.byte();
    const type = (flag >> 1) & 7;
    const id = type === MessageType.RESPONSE || type === MessageType.REQUEST ? cursor.varint() : 0;
    if (type === MessageType.RESPONSE) {
      const body = this.parseText(cursor.rest());
      if (this.asked.delete(id)) this.tell({ kind: 'answer', id, body, error: false });
      return;
    }
    if ((flag & 1) === 1) throw new Trouble(`emits a number as the route: ${cursor.u16()}`);
    const route = this.readText(cursor.take(cursor.byte()));
    this.tell({ kind: 'push', route, body: this.parseText(cursor.rest()) });
  }
}
