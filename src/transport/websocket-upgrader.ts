/** Turns HTTP upgrade requests into WebSocket connections. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';

import { NOTHING } from '../bytes.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Accept, Adopted, Peer } from './transport.ts';
import { WebSocketConnection, type WebSocketSettings } from './websocket.ts';

/** Room beyond one largest packet, for small packets in the same WebSocket message. */
export const MESSAGE_ROOM_BYTES = 16_384;
/** Of a message. */
const FRAGMENTS_MAX = 128;
/** `ws` gets no more than a control frame, or one that is against the protocol, in pieces. */
const CHUNKS = 64;

export class WebSocketUpgrader {
  readonly #server: WebSocketServer;
  readonly #settings: WebSocketSettings;
  /** Called for an invalid upgrade request, which must be answered with this status. */
  onBadRequest: (what: string, socket: Duplex, status: number) => void = () => {};

  /** @param packetBytesMax The largest packet in bytes, head included. */
  constructor(packetBytesMax: number, wheel: TimerWheel) {
    const maxPayload = packetBytesMax + MESSAGE_ROOM_BYTES;
    this.#settings = { wheel, payloadBytesMax: maxPayload, fragmentsMax: FRAGMENTS_MAX };
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: CHUNKS,
      // Text frames are read as bytes, and bytes need not be UTF-8.
      skipUTF8Validation: true,
    });
    this.#server.on('wsClientError', (error, socket, { method }) => {
      this.onBadRequest(error.message, socket, method === 'GET' ? 400 : 405);
    });
  }

  /** Answers the upgrade request. For an invalid one `onBadRequest` is called instead of `accept`. */
  upgrade(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    peer: Peer,
    accept: Accept,
  ): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      new WebSocketConnection(ws, socket, peer, this.#settings).listen(accept);
    });
  }

  /**
   * Goes on with a socket that was upgraded in another process, and is read from once it is resumed. `ws` has no call
   * for that but the upgrade itself; its answer, which the client has had, is not sent.
   */
  adopt(socket: Socket, adopted: Adopted, peer: Peer, accept: Accept): void {
    socket.write = () => true;
    this.#server.handleUpgrade(UPGRADE, socket, NOTHING, (ws) => {
      Reflect.deleteProperty(socket, 'write');
      new WebSocketConnection(ws, socket, peer, this.#settings).listen(accept, adopted);
    });
  }
}

/** Any valid one: what it asked for was settled long ago. */
const UPGRADE = {
  method: 'GET',
  headers: {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
  },
} as unknown as IncomingMessage;
