/** The json dialect: one JSON object in each WebSocket message. */
import { ClientError, errorOfAnswer, expectFits, isObject, ownError } from './client-error.ts';
import { readHandshake, readKick } from './handshake.ts';
import { fromJson, parseJson, toJson } from './json.ts';
import { Received } from './received.ts';
import { asBytes, decodeText, encodeText } from './text.ts';
import type { Wire, WireOutput, WireSettings } from './wire.ts';

export class JsonWire implements Wire {
  readonly #settings: WireSettings;
  readonly #out: WireOutput;
  #isHandshakeDone = false;

  constructor(settings: WireSettings, out: WireOutput) {
    this.#settings = settings;
    this.#out = out;
  }

  sendHandshake(user: unknown): void {
    const handshake = { sys: this.#settings.sys, user };
    this.#out.write(toJson('the handshake', { handshake }));
  }

  encode(id: number, route: string, body: unknown): string {
    const bytes = asBytes(body);
    const json = bytes === null ? toJson(route, body) : decodeText(bytes);
    // Bytes must be valid JSON, so that they cannot break out of the message.
    if (bytes !== null) fromJson(route, json);
    const head = JSON.stringify({ id: id || undefined, route }).slice(0, -1);
    const text = `${head},"body":${json}}`;
    const { packetBytesMax } = this.#settings;
    // A UTF-16 unit takes at most three bytes.
    const length = text.length * 3 > packetBytesMax ? encodeText(text).length : 0;
    expectFits('TOO_LONG', 'a message', length, packetBytesMax);
    return text;
  }

  encodesProtobuf(): boolean {
    return false;
  }

  receive(data: Uint8Array | string): void {
    const message = parseJson(data);
    if (!isObject(message)) {
      this.#out.fail(ownError('BAD_SERVER', 'the server does not speak the json dialect'));
    } else if (isObject(message['handshake'])) {
      if (!this.#isHandshakeDone) this.#onHandshake(message['handshake']);
    } else {
      this.#take(message);
    }
  }

  whenRead(fn: () => void): void {
    fn();
  }

  stop(): void {
    // It has no timers.
  }

  #onHandshake(value: unknown): void {
    const handshake = readHandshake(value, JSON.stringify(value));
    if (handshake instanceof ClientError) {
      this.#out.fail(handshake);
      return;
    }
    this.#isHandshakeDone = true;
    this.#out.onOpen(handshake);
  }

  #take(message: Record<string, unknown>): void {
    const { id, route, body = {}, error, kick } = message;
    const isError = error !== undefined;
    if (typeof id === 'number') {
      const asked = this.#out.routeOf(id);
      const read = (): unknown => (isError ? error : body);
      if (asked !== undefined)
        this.#out.onAnswer(id, new Received(asked, read, undefined, { isError }));
    } else if (typeof route === 'string') {
      this.#out.onPush(new Received(route, () => body));
    } else if (kick !== undefined) {
      this.#out.onKick(readKick(kick));
    } else if (isError) {
      this.#out.onProblem(errorOfAnswer(error));
    }
  }
}
