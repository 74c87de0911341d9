/** The binary dialects: Pomelo's and Pinus's, Pitaya's, Nano's. Packets, messages, heartbeats. */
import { ClientError, expectFits, isObject, numberOf, ownError } from './client-error.ts';
import { readHandshake, readKick } from './handshake.ts';
import { inflate, isDeflated } from './inflate.ts';
import { fromJson, parseJson, toJson } from './json.ts';
import { decodeMessage, encodeMessage, type Message, PUSH, RESPONSE } from './messages.ts';
import { encodePacket, PacketReader, HANDSHAKE, ACK, HEARTBEAT, DATA, KICK } from './packets.ts';
import { Protos } from './protobuf.ts';
import { Received } from './received.ts';
import { asBytes, decodeText, encodeText } from './text.ts';
import type { Wire, WireOutput, WireSettings } from './wire.ts';

/** How late a heartbeat may be, beyond twice the interval. [pomelo-jsclient-websocket: gapThreshold] */
const HEARTBEAT_GAP_MS = 100;
/** Bytes of packets that may wait while a body is being inflated. */
const QUEUED_BYTES_MAX = 33_554_432;

export class PacketWire implements Wire {
  readonly #settings: WireSettings;
  readonly #out: WireOutput;
  readonly #reader: PacketReader;
  #isHandshakeDone = false;
  #isStopped = false;
  readonly #codes = new Map<string, number>();
  readonly #routes = new Map<number, string>();
  #toServer = new Protos(null);
  #fromServer = new Protos(null);
  /** The server has said that bodies are Google's protobuf, which the application has to decode. */
  #isForeign = false;
  #heartbeatMs = 0;
  #heardMs = 0;
  #cancelBeat: (() => void) | null = null;
  #cancelSilence: () => void = () => {};
  /** What waits for a body to be inflated, in order; null: nothing is being inflated. */
  #queue: (() => void)[] | null = null;
  #queuedBytes = 0;

  constructor(settings: WireSettings, out: WireOutput) {
    this.#settings = settings;
    this.#out = out;
    this.#reader = new PacketReader(settings.packetBytesMax, (type, body) => {
      this.#inTurn(body.length, () => {
        this.#take(type, body);
      });
    });
  }

  sendHandshake(user: unknown): void {
    const { sys, definitions } = this.#settings;
    const handshake = { sys: { ...sys, ...definitions.versions }, user };
    const body = encodeText(toJson('the handshake', handshake));
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
      this.#fail('it sent text, as in the json dialect');
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
      throw ownError('BAD_BODY', `the body of ${route} must be a Uint8Array with protobuf`);
    }
    return encodeText(toJson(route, body));
  }

  #take(type: number, body: Uint8Array): void {
    if (type === HEARTBEAT) {
      if (this.#settings.dialect === 'pomelo') this.#beatLater();
    } else if (type === HANDSHAKE) {
      if (this.#isHandshakeDone) return;
      this.#inflated(isDeflated(body), body, (bytes) => {
        this.#onHandshake(bytes);
      });
    } else if (type === KICK) {
      this.#out.onKick(readKick(parseJson(body)));
    } else if (type === DATA && this.#isHandshakeDone) {
      const message = decodeMessage(body);
      if (typeof message === 'string') this.#fail(`message ${message}`);
      else this.#takeMessage(message);
    }
  }

  #takeMessage({ kind, id, route: named, isCompressed, isError, body }: Message): void {
    // Only Pitaya compresses: Pomelo ignores the flag.
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
    return new Received(route, read, bytes, { isError, isProtobuf });
  }

  #onHandshake(body: Uint8Array): void {
    const text = decodeText(body);
    const handshake = readHandshake(parseJson(text), text);
    if (handshake instanceof ClientError) {
      this.#out.fail(handshake);
      return;
    }
    this.#isHandshakeDone = true;
    const { clock, dialect, definitions } = this.#settings;
    const sys = isObject(handshake.sys) ? handshake.sys : {};
    const { dict, protos } = definitions.update(sys);
    for (const [route, given] of Object.entries(dict)) {
      const code = numberOf(given);
      this.#codes.set(route, code);
      this.#routes.set(code, route);
    }
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
   * As stock clients do: Pomelo's send a heartbeat one interval after each of the server's, never the first one;
   * Pitaya's and Nano's send them at a fixed interval.
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

  /** @param gapMs After the machine has slept, timers fire first: a gap gives time to read what has arrived meanwhile. */
  #watch(gapMs = 0): void {
    const { clock } = this.#settings;
    const limitMs = 2 * this.#heartbeatMs;
    const dueMs = this.#heardMs + limitMs;
    this.#cancelSilence = clock.setTimer(gapMs || dueMs - clock.now(), () => {
      if (this.#heardMs + limitMs > clock.now()) this.#watch();
      else if (gapMs === 0) this.#watch(HEARTBEAT_GAP_MS);
      else
        this.#out.fail(ownError('LOST', `nothing came from the server for ${limitMs + gapMs} ms`));
    });
  }

  /** Runs `fn` now, or after what is being inflated. */
  #inTurn(bytes: number, fn: () => void): void {
    if (this.#isStopped) return;
    if (this.#queue === null) {
      fn();
      return;
    }
    this.#queuedBytes += bytes;
    if (this.#queuedBytes > QUEUED_BYTES_MAX) {
      this.#fail('it sent too much at once');
      return;
    }
    this.#queue.push(() => {
      this.#queuedBytes -= bytes;
      if (!this.#isStopped) fn();
    });
  }

  /** Passes on the bytes, inflated if necessary; what comes meanwhile waits, to keep the order. */
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
    this.#out.fail(ownError('BAD_SERVER', `the server does not speak Pomelo: ${why}`));
  }
}
