/** The transport for browsers and Node: a WebSocket. */
import { ownError } from './client-error.ts';
import type { Dial } from './transport.ts';

/** The part of a WebSocket that is used; the browser's, Node's own, and that of the package `ws` all have it. */
export type WebSocketLike = {
  binaryType: string;
  readonly bufferedAmount: number;
  addEventListener(
    type: 'open' | 'message' | 'error' | 'close',
    // oxlint-disable-next-line typescript/no-explicit-any -- every implementation has event types of its own
    listener: (event: any) => void,
  ): void;
  // oxlint-disable-next-line typescript/no-explicit-any -- and its own idea of what may be sent
  send(data: any): void;
  close(code?: number, reason?: string): void;
  /** Only in the package `ws`. */
  terminate?(): void;
};

/** Closed without a close frame. [RFC 6455 section 7.1.5] */
const CODE_LOST = 1006;

function openGlobal(url: string): WebSocketLike {
  if (typeof WebSocket === 'undefined')
    throw ownError(
      'UNREACHABLE',
      'no global WebSocket: pass webSocket((url) => new WS(url)), with WS from the package ws',
    );
  return new WebSocket(url);
}

/**
 * @param open Creates the WebSocket, if it needs more than a URL: `(url) => new WS(url, { ca })` with the package `ws`
 * for an authority that Node does not know, for example. Default: the global WebSocket.
 */
export function webSocket(open: (url: string) => WebSocketLike = openGlobal): Dial {
  return (url, events) => {
    if (!/^(ws|http)s?:/.test(url)) {
      throw ownError('BAD_URL', `expected ws:// or wss://, not ${url}`);
    }
    const socket = open(url);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      events.onOpen();
    });
    socket.addEventListener('message', ({ data }: { data: string | ArrayBuffer }) => {
      events.onData(typeof data === 'string' ? data : new Uint8Array(data));
    });
    socket.addEventListener(
      'error',
      ({ message, error }: { message?: string; error?: unknown }) => {
        // Browsers do not say why.
        events.onEnd(message || 'the WebSocket failed', error);
      },
    );
    socket.addEventListener('close', ({ code, reason }: { code: number; reason: string }) => {
      events.onEnd(
        code === CODE_LOST ? 'connection lost' : `closed by the server, ${code} ${reason}`.trim(),
      );
    });
    return {
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
      send(data) {
        socket.send(data);
      },
      close() {
        socket.close(1000);
      },
      destroy() {
        if (socket.terminate) socket.terminate();
        else socket.close();
      },
    };
  };
}
