/**
 * The bundle in the web template of pomelo 2.2.7 (template/web-server/public/js/lib/build/build.js), copied into many a
 * game; the module and function in it is named with each behaviour. It reads one package of a frame, and writes ids with
 * the high group first.
 */
import { type Json } from './double.ts';
import { dialWebSocket, type Target } from './line.ts';
import { BROWSER, checkDefinitions, decode, type Definitions, encode } from './protobuf.ts';
import { ScriptClient } from './script-client.ts';
import { cesu8, readUpToThreeBytes } from './text.ts';
import { bigEndianVarint, Cursor, message, MessageType, Trouble } from './wire.ts';

const HEAD_BYTES = 4;

export class LegacyBundle extends ScriptClient {
  protected readonly sys = { type: 'js-websocket', version: '0.0.1' };
  readonly #routes = new Map<number, string>();
  #server: Definitions = {};
  #client: Definitions = {};

  static async connect(target: Target, user?: Json): Promise<LegacyBundle> {
    const client = new LegacyBundle(await dialWebSocket(target));
    await client.start(user);
    return client;
  }

  private constructor(line: Awaited<ReturnType<typeof dialWebSocket>>) {
    super(line);
  }

  /** pomelo-client.js `sendMessage` looks for the dictionary where it is not: routes always go as text. */
  protected encode(id: number, route: string, body: Json): Buffer {
    const bytes = Object.hasOwn(this.#client, route)
      ? encode(this.#client, route, body, BROWSER)
      : cesu8(JSON.stringify(body));
    return message(id === 0 ? null : bigEndianVarint(id), route, bytes);
  }

  /** protocol.js `Package.decode` reads the first package of a frame; what is behind it is lost. */
  protected override onBytes(frame: Buffer): void {
    if (frame.length < HEAD_BYTES) throw new Trouble(`no package: ${frame.toString('hex')}`);
    const size = frame.readUIntBE(1, 3);
    if (frame.length !== HEAD_BYTES + size) {
      throw new Trouble(`takes ${size} bytes of a frame of ${frame.length}`);
    }
    this.takePackage({ type: frame[0]!, body: frame.subarray(HEAD_BYTES) });
  }

  /** protocol.js `Protocol.strdecode`. */
  protected readText(bytes: Buffer): string {
    return readUpToThreeBytes(bytes);
  }

  /** pomelo-client.js `initData`; nothing is kept between runs. */
  protected onSys(sys: Json): void {
    for (const [route, code] of Object.entries((sys['dict'] as Json | undefined) ?? {})) {
      this.#routes.set(code as number, route);
    }
    const protos = sys['protos'] as Json | undefined;
    if (protos === undefined) return;
    checkDefinitions(protos['server']);
    checkDefinitions(protos['client']);
    this.#server = protos['server'];
    this.#client = protos['client'];
  }

  /** pomelo-client.js `onKick` looks at no body. */
  protected kickBody(): unknown {
    return undefined;
  }

  /** protocol.js `Message.decode`, pomelo-client.js `onData`. */
  protected onData(bytes: Buffer): void {
    const cursor = new Cursor(bytes);
    const flag = cursor.byte();
    const type = (flag >> 1) & 7;
    const id = type === MessageType.RESPONSE || type === MessageType.REQUEST ? readId(cursor) : 0;
    // The route is read first; that of an answer to nothing is not there, and the answer is passed over.
    const asked = this.asked.get(id);
    if (id > 0 && asked === undefined) throw new Trouble(`loses the answer ${id}`);
    this.asked.delete(id);
    const route = asked ?? this.#readRoute(cursor, flag);
    const body = this.#readBody(route, cursor.rest());
    if (id > 0) this.tell({ kind: 'answer', id, body, error: false });
    else this.tell({ kind: 'push', route, body });
  }

  #readRoute(cursor: Cursor, flag: number): string {
    if ((flag & 1) === 0) return readUpToThreeBytes(cursor.take(cursor.byte()));
    const code = cursor.u16();
    const route = this.#routes.get(code);
    if (route === undefined) throw new Trouble(`gives out a push with the number ${code} as route`);
    return route;
  }

  #readBody(route: string, bytes: Buffer): unknown {
    return Object.hasOwn(this.#server, route)
      ? decode(this.#server, route, bytes, BROWSER)
      : this.parseText(bytes);
  }
}

/** The high group comes first. */
function readId(cursor: Cursor): number {
  let id = 0;
  for (;;) {
    const byte = cursor.byte();
    id = id * 128 + (byte & 0x7f);
    if (byte < 128) return id;
  }
}
