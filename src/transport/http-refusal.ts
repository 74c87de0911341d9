/** What Node's HTTP parser rejects: the client gets a text, and the log a reason. */
import type { Duplex } from 'node:stream';

import { http } from '../node-http.ts';
import type { Refused } from './refused.ts';

/** Bytes of a request's whole head: Node's own default, and Pomelo's. */
export const HTTP_HEAD_BYTES_MAX = 16_384;
/** How much of the input the log shows. */
const SHOWN_BYTES = 24;

type ParserError = Error & {
  readonly code?: string;
  readonly reason?: string;
  readonly rawPacket?: Buffer;
};

/** Answers and ends the connection. null: there is nothing to refuse, the client has gone. */
export function refuseHttp(error: ParserError, socket: Duplex): Refused | null {
  const { code = '' } = error;
  // [llhttp] The parser's own codes; all others are the socket's.
  if (!code.startsWith('HPE_') && code !== 'ERR_HTTP_REQUEST_TIMEOUT') {
    socket.destroy();
    return null;
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    answerHttp(socket, 431, `A request head may have at most ${HTTP_HEAD_BYTES_MAX} bytes.\n`);
    return { why: 'http_head_too_large', detail: `over ${HTTP_HEAD_BYTES_MAX} bytes` };
  }
  answerHttp(socket, 400, 'This is not a valid HTTP/1.1 request.\n');
  return { why: 'bad_http', detail: `${error.reason ?? error.message}${beginning(error)}` };
}

/** A short answer where there is no response object yet; it ends the connection. */
export function answerHttp(socket: Duplex, status: number, text: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
  // Anything after the request is discarded, until the client closes.
  socket.resume();
}

function beginning({ rawPacket }: ParserError): string {
  if (rawPacket === undefined || rawPacket.length === 0) return '';
  const text = rawPacket.toString('latin1', 0, SHOWN_BYTES).replace(/[^ -~]/g, '.');
  if (text.startsWith('PROXY '))
    return ': it begins with a PROXY header, which this port does not accept';
  if (text.startsWith('PRI * HTTP/2'))
    return ': it is HTTP/2, but this port speaks WebSocket over HTTP/1.1';
  return `, in a read that begins with: ${text}`;
}
