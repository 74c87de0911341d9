/**
 * `/v1/attach` on the admin port, for backends that open their Link over WebSocket. Each text message is one ToGateway,
 * or one ToBackend, in JSON.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

import { http } from '../node-http.ts';
import { errorText, failure } from '../errors.ts';
import { plainAddress } from '../ip.ts';
import {
  ATTACH_MESSAGE_BYTES_MAX,
  type AttachSocket,
  AttachStream,
  type Ending,
} from '../upstream/dial-in/attach-stream.ts';
import { Liveness, type Watched } from '../upstream/liveness.ts';
import type { Attach } from './attach.ts';
import { type FrameSocket, JsonFrameReader } from './attach-reader.ts';
import { ATTACH_PATH } from './paths.ts';
import { AttachJson, AttachJsonError, type FromBackend, type RefusedFrame } from './attach-json.ts';

type Socket = IncomingMessage['socket'];

const FRAGMENTS_MAX = 1_024;
const BUFFERED_CHUNKS_MAX = 65_536;

const NO_BROWSERS = 'Browsers may not attach. Other clients must not send an Origin header.\n';

export class AttachWebSockets {
  readonly #attach: Attach;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    perMessageDeflate: false,
    maxPayload: ATTACH_MESSAGE_BYTES_MAX,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: BUFFERED_CHUNKS_MAX,
  });
  /** Made when the first backend attaches. */
  #json: AttachJson | null = null;

  constructor(attach: Attach) {
    this.#attach = attach;
  }

  /** Answers an upgrade request on the admin port. `onOpen`: it has become a WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onOpen: () => void): void {
    // A client may go away at any time.
    socket.on('error', () => {});
    if ((request.url ?? '').split('?', 1)[0] !== ATTACH_PATH) {
      refuse(socket, 404, `Backends attach at ${ATTACH_PATH}.\n`);
      return;
    }
    // Any web page could open a WebSocket to this machine; browsers always send this header.
    if (request.headers.origin !== undefined) {
      refuse(socket, 403, NO_BROWSERS);
      return;
    }
    const { remoteAddress, remotePort } = request.socket;
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      onOpen();
      this.#open(
        ws,
        request.socket,
        `websocket ${plainAddress(remoteAddress ?? '')}:${remotePort}`,
      );
    });
  }

  /** Cuts off all remaining connections. */
  close(): void {
    this.#attach.close();
    for (const ws of this.#server.clients) ws.terminate();
  }

  #open(ws: WebSocket, socket: Socket, peer: string): void {
    this.#json ??= new AttachJson(this.#attach.convertBytesMax);
    const { stream } = new JsonSocket(ws, { socket, peer, json: this.#json, attach: this.#attach });
    this.#attach.open(stream);
  }
}

/** [RFC 6455 section 7.4.1] */
const CLOSE_NORMAL = 1000;
const CLOSE_GOING = 1001;
const CLOSE_LOST = 1006;
const CLOSE_POLICY = 1008;
const CLOSE_BROKEN = 1011;
const CLOSE_LATER = 1013;
/** 1005: the close frame held no code. */
const CLOSES_IN_ORDER: ReadonlySet<number> = new Set([CLOSE_NORMAL, CLOSE_GOING, 1005]);

export const CLOSE_CODE_OF_ENDING: Readonly<Record<Ending['how'], number>> = {
  done: CLOSE_NORMAL,
  unauthenticated: CLOSE_POLICY,
  invalid: CLOSE_POLICY,
  full: CLOSE_LATER,
  stopping: CLOSE_GOING,
  broken: CLOSE_BROKEN,
};

/** An empty PushResult, and an empty VerbResult. */
const NOBODY = { delivered: 0, dropped: 0, refused: 0, gateways: 0 };
const NOTHING = { changed: 0, version: '0' };

type SocketParts = {
  readonly socket: Socket;
  /** For the log. */
  readonly peer: string;
  readonly json: AttachJson;
  readonly attach: Attach;
};

/** One backend: converts what comes from it for `stream`, and the other way round. */
class JsonSocket implements AttachSocket, FrameSocket, Watched {
  /** Largest body of a request, since it is sent in base64. */
  readonly bodyBytesMax: number;
  readonly stream: AttachStream;
  readonly #ws: WebSocket;
  readonly #parts: SocketParts;
  readonly #reader: JsonFrameReader;
  #liveness: Liveness | null = null;
  /** Paused by the Link, which is full. */
  #paused = false;
  /** Held by the reader, which has not converted everything yet. */
  #held = false;
  #roundTrips = 0;
  /** How often liveness was checked while reading was paused. */
  #looks = 0;

  constructor(ws: WebSocket, parts: SocketParts) {
    this.#ws = ws;
    this.#parts = parts;
    this.bodyBytesMax = parts.attach.convertBytesMax;
    this.stream = new AttachStream(parts.peer, this);
    this.#reader = new JsonFrameReader(parts.json, this, parts.attach.wheel);
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.stream.fail('a binary message: send JSON as text');
      else this.#reader.take(data);
    });
    // A message over the limit, or invalid WebSocket: `ws` closes, with the reason.
    ws.on('error', (error) => {
      this.stream.fail(errorText(error));
    });
    ws.on('close', (code) => {
      this.#liveness?.stop();
      this.#reader.finish(() => {
        if (CLOSES_IN_ORDER.has(code)) this.stream.onPeerEnd();
        else
          this.stream.fail(code === CLOSE_LOST ? 'the connection was lost' : `closed with ${code}`);
      });
    });
  }

  // ---- from the backend -----------------------------------------------------------------------------------

  take({ bytes, refused }: FromBackend): void {
    this.stream.take(bytes);
    for (const frame of refused) {
      this.#refuse(frame);
      this.#parts.attach.refusedFrame(this.#parts.peer, frame.kind, frame.why);
    }
  }

  fail(error: unknown): void {
    this.stream.fail(error instanceof AttachJsonError ? error.message : 'internal error');
    if (!(error instanceof AttachJsonError)) throw error;
  }

  /** Answers a push or a verb that was refused here; does nothing if no answer is wanted. */
  #refuse({ id, kind, why }: RefusedFrame): void {
    if (id === 0) return;
    const { code, reason } = failure('BAD_ARGUMENT');
    const error = { code, reason, message: why };
    const frame = kind === 'push' ? { id, pushed: NOBODY } : { id, done: { ...NOTHING, error } };
    this.#ws.send(JSON.stringify({ frames: [frame] }));
  }

  hold(): void {
    this.#held = true;
    this.#ws.pause();
  }

  readOn(): void {
    this.#held = false;
    if (!this.#paused) this.#ws.resume();
  }

  // ---- from the Link --------------------------------------------------------------------------------------

  send(message: Buffer, done: () => void): void {
    this.#ws.send(this.#parts.json.toBackend(message), done);
  }

  /** A pong with these bytes: one that was sent unasked, or for `ask`, is another's. [RFC 6455 section 5.5.3] */
  roundTrip(done: () => void): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(++this.#roundTrips);
    const onPong = (data: Buffer): void => {
      if (!data.equals(mark)) return;
      this.#ws.off('pong', onPong);
      done();
    };
    this.#ws.on('pong', onPong);
    this.#ws.ping(mark);
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
    this.#ws.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#held) this.#ws.resume();
    this.#reader.resume();
  }

  watch(deadAfterMs: number): void {
    this.#liveness = new Liveness(deadAfterMs, this.#parts.attach.wheel, this);
    this.#liveness.begin();
  }

  end({ how, text }: Ending): void {
    // A paused socket would never see the backend's close frame.
    this.#ws.resume();
    this.#ws.close(CLOSE_CODE_OF_ENDING[how], closeText(text));
  }

  destroy(): void {
    this.#ws.terminate();
  }

  // ---- liveness -------------------------------------------------------------------------------------------

  /** Always: the gateway cannot dial it again, and middleboxes drop silent connections. */
  isAwaited(): boolean {
    return true;
  }

  heard(): number {
    // While reading is paused, nothing can be heard.
    if (this.#paused || this.#held) this.#looks++;
    return this.#parts.socket.bytesRead + this.#looks;
  }

  ask(): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  giveUp(why: string): void {
    this.#ws.terminate();
    this.stream.fail(why);
  }
}

/** A close frame carries at most 123 bytes of UTF-8. [RFC 6455 section 5.5] */
function closeText(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= 123) return text;
  // Drop a character that was cut in two.
  return `${bytes
    .subarray(0, 120)
    .toString('utf8')
    .replace(/\ufffd+$/, '')}…`;
}

function refuse(socket: Duplex, code: number, text: string): void {
  socket.end(
    `HTTP/1.1 ${code} ${http.STATUS_CODES[code]}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
  // Anything after the request is discarded, until the client closes.
  socket.resume();
}
