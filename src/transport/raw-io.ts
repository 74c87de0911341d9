/**
 * Reads from a plain socket and writes to it without the streams on top, which cost more than all that is done with a
 * small message: all sockets are read into one buffer, where the stream would get 64 KiB for each read, and what the
 * kernel takes at once needs no request of its own.
 *
 * Node's own `net` works so with its option `onread`, but has no such option for a socket that was accepted. What a
 * version of Node lacks of it is left to the streams, which are only slower. Guarded by test/integration/raw-io.test.ts.
 */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

import { RawBytes } from './raw-bytes.ts';

/** As much as libuv would read at once. */
const READ_BYTES_MAX = 65_536;
/** Where everything is read, and copied from before anything else is read. */
const SHARED = Buffer.allocUnsafeSlow(READ_BYTES_MAX);
const bytes = new RawBytes(SHARED);

/** What is under a socket. */
type Handle = {
  useUserBuffer?(buffer: Buffer): void;
  writeBuffer?(request: WriteRequest, bytes: Uint8Array): number;
  /** Node calls it for every read, and for the end and errors. */
  onread?: OnRead;
  /** Gets what was read. */
  [TAKER]?: (chunk: Buffer) => void;
};
type OnRead = (this: Handle, bytes?: ArrayBuffer) => void;
type WriteRequest = {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Kept alive until it is written. */
  buffer: Uint8Array | null;
  socket: Socket | null;
  writer: RawWriter | null;
};
type StreamWrap = {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: { readonly [index: number]: number };
  readonly kLastWriteWasAsync: number;
  readonly kReadBytesOrError: number;
};

type Bindings = { readonly binding?: (name: string) => Partial<StreamWrap> | undefined };

/** Who writes. */
export interface RawWriter {
  /** The kernel has taken what it did not take at once, or the socket has failed. */
  rawWritten(): void;
}

const TAKER = Symbol('taker');

/** undefined: not looked up yet; null: this Node has none. */
let bufferKey: symbol | null | undefined;
/** Node's own, for everything but bytes: the end, and errors. */
let nodesOnRead: OnRead | null = null;
let wrap: StreamWrap | null | undefined;
/** One request serves all writes that the kernel takes at once. */
let idle: WriteRequest | null = null;

function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { readonly _handle?: Handle | null })._handle ?? null;
}

/**
 * From now on what is read comes to `onData`, and what the stream has already still comes as its `data`, before. `pause`,
 * `resume` and all events but `data` are as ever.
 *
 * @param onData Gets bytes of its own, as from the stream. Called within no promise, and must not throw.
 * @returns False: this Node cannot, and all comes as `data`.
 */
export function receiveRaw(socket: Socket, onData: (chunk: Buffer) => void): boolean {
  const handle = handleOf(socket);
  if (wrap === undefined) wrap = streamWrap();
  if (bufferKey === undefined) bufferKey = bufferKeyOf(socket);
  if (wrap === null || bufferKey === null) return false;
  if (handle?.useUserBuffer === undefined || handle.onread === undefined) return false;
  // By this the socket's `pause` knows that it has to stop the reads themselves.
  (socket as unknown as Record<symbol, unknown>)[bufferKey] = SHARED;
  nodesOnRead ??= handle.onread;
  handle[TAKER] = onData;
  handle.onread = onRead;
  handle.useUserBuffer(SHARED);
  // Until now the stream would have stopped reading only once it had too much.
  if (socket.isPaused()) socket.pause();
  return true;
}

/** In place of Node's, which does for every read what only timers of sockets and streams need. */
function onRead(this: Handle, none?: ArrayBuffer): void {
  const length = wrap!.streamBaseState[wrap!.kReadBytesOrError]!;
  if (length > 0) this[TAKER]!(bytes.take(length));
  else nodesOnRead!.call(this, none);
}

function bufferKeyOf(socket: Socket): symbol | null {
  const keys = Object.getOwnPropertySymbols(socket);
  return keys.find((key) => key.description === 'kBuffer') ?? null;
}

/**
 * taken: by the kernel, or the socket is destroyed with the error · pending: `rawWritten` follows · unable: nothing was
 * done, write to the stream.
 */
export type RawSent = 'taken' | 'pending' | 'unable';

/** Writes to a connected plain socket, if its stream has nothing that must go first. */
export function sendRaw(socket: Socket, data: Uint8Array, writer: RawWriter): RawSent {
  const handle = handleOf(socket);
  if (wrap === undefined) wrap = streamWrap();
  if (wrap === null || handle?.writeBuffer === undefined) return 'unable';
  if (socket.writableLength > 0) return 'unable';
  const request = idle ?? newRequest(wrap);
  idle = null;
  const status = handle.writeBuffer(request, data);
  if (status !== 0) {
    socket.destroy(writeError(status));
    return 'taken';
  }
  if (wrap.streamBaseState[wrap.kLastWriteWasAsync] === 0) {
    idle = request;
    return 'taken';
  }
  request.buffer = data;
  request.socket = socket;
  request.writer = writer;
  return 'pending';
}

function newRequest({ WriteWrap }: StreamWrap): WriteRequest {
  const request = new WriteWrap();
  request.oncomplete = onWritten;
  request.buffer = null;
  request.socket = null;
  request.writer = null;
  return request;
}

function onWritten(this: WriteRequest, status: number): void {
  const { socket, writer } = this;
  this.buffer = null;
  if (status < 0) socket!.destroy(writeError(status));
  writer!.rawWritten();
}

function writeError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { errno: status, code, syscall: 'write' });
}

/** The module of Node's that has the requests; only the documentation deprecates it. */
function streamWrap(): StreamWrap | null {
  try {
    // oxlint-disable-next-line no-restricted-globals -- there is no module to import it from
    const found = (process as unknown as Bindings).binding?.('stream_wrap');
    const isWhole =
      found?.WriteWrap !== undefined &&
      found.streamBaseState !== undefined &&
      found.kLastWriteWasAsync !== undefined &&
      found.kReadBytesOrError !== undefined;
    return isWhole ? (found as StreamWrap) : null;
  } catch {
    return null;
  }
}
