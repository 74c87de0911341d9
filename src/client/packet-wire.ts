/** The binary dialects: Pomelo's and Pinus's, Pitaya's, Nano's. Packets, messages, heartbeats. */
import { ClientError, expectFits, isObject, ownError } from './client-error.ts';
import { readHandshake, readKick } from './handshake.ts';
import { inflate, isDeflated } from './inflate.ts';
import { fromJson, parseJson, toJson } from './json.ts';
import { decodeMessage, encodeMessage, type Message, PUSH, RESPONSE } from './messages.ts';
import { encodePacket, PacketReader, HANDSHAKE, ACK, HEARTBEAT, DATA, KICK } from './packets.ts';
import { Protos } from './protobuf.ts';
import { Received } from './received.ts';
import { asBytes, decodeText, encodeText } from './text.ts';
import type { Wire, WireEvents, WireSettings } from './wire.ts';

/** A heartbeat may be this late beyond twice the interval. [pomelo-jsclient-websocket: gapThreshold] */
const HEARTBEAT_GAP_MS = 100;
/** What may wait behind a body that is being inflated, in packets' bytes. */
const QUEUED_BYTES_MAX = 33_554_432;

export class PacketWire implements Wire {
  readonly #settings: WireSettings;
  readonly #out: WireEvents;
  readonly #reader: PacketReader;
  #isShaken = false;
  #isStopped = false;
  #codes: ReadonlyMap<string, number> = new Map();
  #routes: ReadonlyMap<number, string> = new Map();
  #toServer = new Protos(null);
  #fromServer = new Protos(null);
  /** The server said that bodies are Google's protobuf: they are the application's to read. */
  #isForeign = false;
  #heartbeatMs = 0;
  #heardMs = 0;
  #cancelBeat: (() => void) | null = null;
  #cancelSilence: () => void = () => {};
  /** What waits until a body is inflated, in its order; null: nothing is being inflated. */
  #queue: (() => void)[] | null = null;
  #queuedBytes = 0;

  constructor(settings: WireSettings, out: WireEvents) {
    this.#settings = settings;
    this.#out = out;
    this.#reader = new PacketReader(settings.packetBytesMax, (type, body) => {
      this.#inTurn(body.length, () => {
        this.#take(type, body);
      });
    });
  }

  hello(user: unknown): void {
    const { sys, learned } = this.#settings;
    const said = { sys: { ...sys, ...learned.versions }, user: user ?? {} };
    const body = encodeText(toJson('the handshake', said));
    this.#out.write(encodePacket(HANDSHAKE, body));
  }

  encode(id: number, route: string, body: unknown): Uint8Array {
    const message = encodeMessage(id, this.#codes.get(route) ?? route, this.#bytesOf(route, body));
    const { packetBytesMax } = this.#settings;
    expectFits('TOO_LONG', 'a packet', message.length, packetBytesMax);
    return encodePacket(DATA, message);
  }

  encodesProtobuf(route: string): boolean {
    return this.#toServer.knows(route);
  }

  receive(data: Uint8Array | string): void {
    if (typeof data === 'string') {
      this.#fail('text came, as in the json dialect');
      return;
    }
    this.#heardMs = this.#settings.clock.now();
    const fault = this.#reader.push(data);
    if (fault !== null) {
      this.#inTurn(0, () => {
        this.#fail(fault);
      });
    }
  }

  whenRead(fn: () => void): void {
    if (this.#queue === null) fn();
    else this.#queue.push(fn);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelBeat?.();
    this.#cancelSilence();
  }

  #bytesOf(route: string, body: unknown): Uint8Array {
    const bytes = asBytes(body);
    if (bytes !== null) return bytes;
    if (this.#toServer.knows(route)) return this.#toServer.encode(route, body ?? {});
    if (this.#isForeign) {
      throw ownError('BAD_BODY', `the body of ${route} must be a Uint8Array, of protobuf`);
    }
    return encodeText(toJson(route, body));
  }

  #take(type: number, body: Uint8Array): void {
    if (type === HEARTBEAT) {
      if (this.#settings.dialect === 'pomelo') this.#beatLater();
    } else if (type === HANDSHAKE) {
      if (this.#isShaken) return;
      this.#inflated(isDeflated(body), body, (bytes) => {
        this.#shake(bytes);
      });
    } else if (type === KICK) {
      this.#out.onKick(readKick(parseJson(body)));
    } else if (type === DATA && this.#isShaken) {
      const message = decodeMessage(body);
      if (typeof message === 'string') this.#fail(`message ${message}`);
      else this.#takeMessage(message);
    }
  }

  #takeMessage({ kind, id, route: named, isCompressed, isError, body }: Message): void {
    // Pomelo has the flag too, but never compresses.
    this.#inflated(isCompressed && this.#settings.dialect === 'pitaya', body, (bytes) => {
      const isAnswer = kind === RESPONSE;
      const route = isAnswer ? this.#out.routeOf(id) : (this.#routes.get(named as number) ?? named);
      if (typeof route === 'number') {
        this.#out.onProblem(ownError('BAD_ROUTE', `the dictionary has no code ${route}`));
      } else if (route !== undefined) {
        const received = this.#received(route, bytes, isError);
        if (isAnswer) this.#out.onAnswer(id, received);
        else if (kind === PUSH) this.#out.onPush(received);
      }
    });
  }

  #received(route: string, bytes: Uint8Array, isError: boolean): Received {
    const isProtobuf = this.#fromServer.knows(route);
    const read = (): unknown => {
      if (isError) return parseJson(bytes) ?? bytes;
      if (isProtobuf) return this.#fromServer.decode(route, bytes);
      if (this.#isForeign) return bytes;
      return bytes.length === 0 ? {} : fromJson(route, decodeText(bytes));
    };
    return new Received(route, { bytes, read }, { isError, isProtobuf });
  }

  #shake(body: Uint8Array): void {
    const text = decodeText(body);
    const handshake = readHandshake(parseJson(text), text);
    if (handshake instanceof ClientError) {
      this.#out.onFault(handshake);
      return;
    }
    this.#isShaken = true;
    const { clock, dialect, learned } = this.#settings;
    const sys = isObject(handshake.sys) ? handshake.sys : {};
    const { dict, protos } = learned.learn(sys);
    const codes = Object.entries(dict).map(([route, code]) => [route, Number(code)] as const);
    this.#codes = new Map(codes);
    this.#routes = new Map(codes.map(([route, code]) => [code, route]));
    this.#toServer = new Protos(protos['client']);
    this.#fromServer = new Protos(protos['server']);
    this.#isForeign = sys['serializer'] === 'protobuf';
    const { heartbeat } = sys;
    if (typeof heartbeat === 'number' && heartbeat > 0) {
      this.#heartbeatMs = heartbeat * 1_000;
      this.#heardMs = clock.now();
      this.#watch();
      if (dialect !== 'pomelo') this.#beatLater();
    }
    this.#out.write(encodePacket(ACK));
    this.#out.onOpen(handshake);
  }

  /**
   * As stock clients do it: Pomelo's send one an interval after each of the server's, and never the first; those of
   * Pitaya and Nano by their own clock.
   */
  #beatLater(): void {
    const { clock, dialect } = this.#settings;
    if (this.#heartbeatMs === 0 || this.#cancelBeat !== null) return;
    this.#cancelBeat = clock.setTimer(this.#heartbeatMs, () => {
      this.#cancelBeat = null;
      this.#out.write(encodePacket(HEARTBEAT));
      if (dialect !== 'pomelo') this.#beatLater();
    });
  }

  #watch(): void {
    const { clock } = this.#settings;
    const limitMs = 2 * this.#heartbeatMs;
    const quietMs = (): number => clock.now() - this.#heardMs;
    this.#cancelSilence = clock.setTimer(limitMs - quietMs(), () => {
      if (quietMs() < limitMs) {
        this.#watch();
        return;
      }
      // After a sleep of the machine timers come first: what has arrived meanwhile is heard in the gap.
      this.#cancelSilence = clock.setTimer(HEARTBEAT_GAP_MS, () => {
        if (quietMs() < limitMs) {
          this.#watch();
          return;
        }
        const silentMs = limitMs + HEARTBEAT_GAP_MS;
        this.#out.onFault(ownError('LOST', `nothing was heard from the server in ${silentMs} ms`));
      });
    });
  }

  /** Runs `fn` now, or behind what is being inflated. */
  #inTurn(bytes: number, fn: () => void): void {
    if (this.#isStopped) return;
    if (this.#queue === null) {
      fn();
      return;
    }
    this.#queuedBytes += bytes;
    if (this.#queuedBytes > QUEUED_BYTES_MAX) {
      this.#fail('too much came at once');
      return;
    }
    this.#queue.push(() => {
      this.#queuedBytes -= bytes;
      if (!this.#isStopped) fn();
    });
  }

  /** Gives the bytes, inflated if they must be; what comes meanwhile waits, so that the order stays. */
  #inflated(isDeflated: boolean, bytes: Uint8Array, then: (bytes: Uint8Array) => void): void {
    if (!isDeflated) {
      then(bytes);
      return;
    }
    this.#queue = [];
    inflate(bytes, this.#settings.packetBytesMax)
      .then(
        (whole) => () => {
          then(whole);
        },
        (error: unknown) => () => {
          this.#fail(String(error));
        },
      )
      .then((goOn) => {
        const waiting = this.#queue ?? [];
        this.#queue = null;
        if (!this.#isStopped) goOn();
        for (const next of waiting) this.whenRead(next);
      })
      .catch((error: unknown) => {
        this.#fail(String(error));
      });
  }

  #fail(why: string): void {
    this.#out.onFault(ownError('BAD_SERVER', `the server does not speak Pomelo: ${why}`));
  }
}
