/**
 * A Pomelo client: one connection over WebSocket or TCP, its handshake, heartbeats, answers and pushes. For the
 * command line; it never comes back by itself, and speaks bodies as bytes.
 */
import net from 'node:net';
import { WebSocket } from 'ws';

import { type CancelTimer, type Clock, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import {
  decodeMessage,
  encodeNotify,
  encodeRequest,
  Message,
  MessageKind,
  rawIdOf,
} from '../protocol/message.ts';
import {
  encodeJsonPacket,
  encodePacket,
  PACKET_BODY_BYTES_MAX,
  packetOffset,
  PacketType,
} from '../protocol/packet.ts';
import { PacketReader } from '../protocol/packet-reader.ts';

/** How long the other side may take to close after us. */
const CLOSE_MS = 1_000;
/** [pomelo-jsclient-websocket: a heartbeat may be this late beyond twice the interval] */
const HEARTBEAT_GAP_MS = 100;

export type ClientOptions = {
  readonly clock: Clock;
  /** For the connection and the handshake, together; for each answer. */
  readonly timeoutMs: number;
  /** Said in the handshake. */
  readonly version: string;
  onPush(route: string, body: Buffer): void;
  onKick(body: Buffer): void;
};

/** `isError`: the message has Pitaya's error flag. */
export type Answer = { readonly body: Buffer; readonly isError: boolean };

/** What a URL may be, for people. */
export const URL_FORMS = 'ws://host:port, wss://host or tcp://host:port';

/** Reads a server's URL; null when it is none of `URL_FORMS`. */
export function parseServerUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.hostname === '') return null;
  if (url.protocol === 'tcp:') return url.port === '' ? null : url;
  return url.protocol === 'ws:' || url.protocol === 'wss:' ? url : null;
}

export class PomeloClient {
  /** Resolves with the reason once the connection is no more. Never rejects. */
  readonly ended: Promise<string>;
  /** The handshake's answer as it came; empty before. */
  handshake: Buffer = Buffer.alloc(0);
  readonly #options: ClientOptions;
  readonly #link: Link;
  readonly #message = new Message();
  /** By the id's bytes. */
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #shaken: Promise<void>;
  #onShaken: () => void = () => {};
  #onEnded: (why: string) => void = () => {};
  #isEnded = false;
  #lastId = 0;
  #routes = new Map<number, string>();
  #heartbeatMs = 0;
  #cancelBeat: CancelTimer | null = null;
  #cancelSilence: CancelTimer = () => {};

  private constructor(url: URL, options: ClientOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    this.#shaken = new Promise((resolve) => {
      this.#onShaken = resolve;
    });
    const reader = new PacketReader(PACKET_BODY_BYTES_MAX, (type, body) => {
      this.#take(type, body);
    });
    this.#link = dial(url, {
      onOpen: () => {
        const sys = { type: 'pith-client', version: options.version };
        this.#write(encodeJsonPacket(PacketType.HANDSHAKE, { sys, user: {} }));
      },
      onBytes: (bytes) => {
        const fault = reader.push(bytes);
        if (fault !== null) this.#fail(`the server does not speak Pomelo: ${fault}`);
      },
      onEnd: (why) => {
        this.#end(why);
      },
    });
  }

  /** Connects, shakes hands and acknowledges. Rejects with the reason why not. */
  static async connect(url: URL, options: ClientOptions): Promise<PomeloClient> {
    const client = new PomeloClient(url, options);
    const outcome = await within(
      options.clock,
      options.timeoutMs,
      Promise.race([client.#shaken, client.ended]),
      `no handshake in ${options.timeoutMs} ms`,
    );
    if (outcome === undefined) return client;
    client.#fail(outcome);
    throw new Error(outcome);
  }

  /** The answer, or null when there is none in time. Rejects when the connection ends before. */
  async request(route: string, body: Uint8Array): Promise<Answer | null> {
    const rawId = rawIdOf(++this.#lastId);
    const encoded = encodeRequest(rawId, route, body);
    const answered = new Promise<Answer>((resolve) => {
      this.#waiting.set(rawId, resolve);
    });
    const lost = this.ended.then((why) => {
      throw new Error(why);
    });
    this.#write(encoded);
    const { clock, timeoutMs } = this.#options;
    try {
      return await within<Answer | null>(clock, timeoutMs, Promise.race([answered, lost]), null);
    } finally {
      this.#waiting.delete(rawId);
    }
  }

  notify(route: string, body: Uint8Array): void {
    this.#write(encodeNotify(route, body));
  }

  /** Sends what is still unsent and closes. */
  async close(): Promise<void> {
    if (this.#isEnded) return;
    this.#link.close();
    await within(this.#options.clock, CLOSE_MS, this.ended, '');
    this.#link.destroy();
  }

  #take(type: number, body: Buffer): void {
    if (this.#isEnded) return;
    this.#watchSilence();
    if (type === PacketType.HANDSHAKE) this.#shakeHands(body);
    else if (type === PacketType.HEARTBEAT) this.#beatLater();
    else if (type === PacketType.KICK) this.#options.onKick(body);
    else if (type === PacketType.DATA) this.#takeMessage(body);
  }

  #takeMessage(bytes: Buffer): void {
    const message = this.#message;
    const fault = decodeMessage(bytes, (code) => this.#routes.get(code), message);
    if (fault !== null) {
      this.#fail(`the server sent a message that cannot be read: ${fault}`);
    } else if (message.kind === MessageKind.RESPONSE) {
      this.#waiting.get(message.rawId)?.({ body: message.body, isError: message.error });
    } else if (message.kind === MessageKind.PUSH) {
      this.#options.onPush(message.route, message.body);
    }
  }

  #shakeHands(body: Buffer): void {
    this.handshake = Buffer.from(body);
    const answer = readHandshake(body);
    if (answer === null) {
      this.#fail(`the handshake was refused: ${body.toString()}`);
      return;
    }
    this.#routes = answer.routes;
    this.#heartbeatMs = answer.heartbeatMs;
    this.#write(encodePacket(PacketType.HANDSHAKE_ACK));
    this.#watchSilence();
    this.#onShaken();
  }

  /** As the stock clients do it: one interval after each of the server's, one of ours. */
  #beatLater(): void {
    if (this.#heartbeatMs === 0 || this.#cancelBeat !== null) return;
    this.#cancelBeat = this.#options.clock.setTimer(this.#heartbeatMs, () => {
      this.#cancelBeat = null;
      this.#write(encodePacket(PacketType.HEARTBEAT));
    });
  }

  #watchSilence(): void {
    this.#cancelSilence();
    if (this.#heartbeatMs === 0) return;
    const silenceMs = 2 * this.#heartbeatMs + HEARTBEAT_GAP_MS;
    this.#cancelSilence = this.#options.clock.setTimer(silenceMs, () => {
      this.#fail(`nothing was heard from the server in ${silenceMs} ms`);
    });
  }

  #write(encoded: Buffer): void {
    if (!this.#isEnded) this.#link.write(encoded.subarray(packetOffset(encoded)));
  }

  #fail(why: string): void {
    this.#end(why);
    this.#link.destroy();
  }

  #end(why: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#cancelBeat?.();
    this.#cancelSilence();
    this.#onEnded(why);
  }
}

/** null: not accepted. */
function readHandshake(body: Buffer): { heartbeatMs: number; routes: Map<number, string> } | null {
  type Sys = { heartbeat?: unknown; dict?: unknown };
  let value: { code?: unknown; sys?: Sys | null } | null;
  try {
    value = JSON.parse(body.toString()) as typeof value;
  } catch {
    return null;
  }
  if (value?.code !== 200) return null;
  const { heartbeat, dict } = value.sys ?? {};
  const codes = typeof dict === 'object' && dict !== null ? Object.entries(dict) : [];
  return {
    heartbeatMs: typeof heartbeat === 'number' && heartbeat > 0 ? heartbeat * 1_000 : 0,
    routes: new Map(codes.map(([route, code]) => [Number(code), route])),
  };
}

/** A socket, of either kind. */
type Link = {
  write(bytes: Buffer): void;
  /** Sends what is unsent, then closes. */
  close(): void;
  destroy(): void;
};

type LinkEvents = {
  onOpen(): void;
  onBytes(bytes: Buffer): void;
  /** May come more than once; the first tells most. */
  onEnd(why: string): void;
};

function dial(url: URL, events: LinkEvents): Link {
  return url.protocol === 'tcp:' ? dialTcp(url, events) : dialWebSocket(url, events);
}

function dialTcp(url: URL, events: LinkEvents): Link {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = net.connect({ host, port: Number(url.port), noDelay: true });
  socket.on('connect', () => {
    events.onOpen();
  });
  socket.on('data', (bytes) => {
    events.onBytes(bytes);
  });
  socket.on('error', (error) => {
    events.onEnd(socketText(error));
  });
  socket.on('close', () => {
    events.onEnd('closed by the server');
  });
  return {
    write: (bytes) => void socket.write(bytes),
    close: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

function dialWebSocket(url: URL, events: LinkEvents): Link {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('open', () => {
    events.onOpen();
  });
  socket.on('message', (data: Buffer) => {
    events.onBytes(data);
  });
  socket.on('error', (error) => {
    events.onEnd(socketText(error));
  });
  socket.on('close', (code, reason) => {
    // No close frame came. [RFC 6455 section 7.1.5]
    const isLost = code === 1006;
    events.onEnd(
      isLost ? 'connection lost' : `closed by the server, ${code} ${reason.toString()}`.trimEnd(),
    );
  });
  return {
    write: (bytes) => {
      socket.send(bytes);
    },
    close: () => {
      socket.close(1000);
    },
    destroy: () => {
      socket.terminate();
    },
  };
}

/** A name with several addresses fails with an AggregateError, which has no text of its own. */
function socketText(error: Error & { code?: string }): string {
  if (error.code === 'ECONNREFUSED') return 'connection refused';
  if (error.code === 'ENOTFOUND') return 'there is no such host';
  return errorText(error) || (error.code ?? 'unknown error');
}
