/** What is needed of `ws` and is not among what it documents. */
import type { Socket } from 'node:net';

import type { SocketFault } from './transport.ts';

export type OnData = (this: Socket, chunk: Buffer) => void;

/** Takes from `ws` the listener by which it reads from the socket: it is called only with what it is to read. */
export function takeOver(socket: Socket): OnData {
  const [wsRead, ...others] = socket.listeners('data') as OnData[];
  if (wsRead === undefined || others.length > 0)
    throw new Error('ws does not read from its socket by one listener for data');
  socket.off('data', wsRead);
  return wsRead;
}

/** The client's fault, by the code of `ws`; null: not its fault, the socket failed. */
export function faultOf(code: string): SocketFault | null {
  if (!code.startsWith('WS_ERR_')) return null;
  return code.startsWith('WS_ERR_UNSUPPORTED_') ? 'packet_too_long' : 'malformed';
}
