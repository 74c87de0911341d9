/** The messages of pith.v1 as the simulated backends read them: by proto/pith/v1, not by the gateway's code. */
import { BYTES, WireReader } from '../../../src/contract/protobuf-wire.ts';
import type { ErrorShape } from './write-frames.ts';

export type RequestRead = {
  sid: string;
  uid: string;
  gateway: string;
  version: number;
  route: string;
  isNotify: boolean;
  body: Buffer;
  seq: number;
  timeoutMs: number;
  to: string;
  /** Length of the message. */
  bytes: number;
};

export type PushResultRead = {
  delivered: number;
  dropped: number;
  refused: number;
  /** Gateways that did not answer. */
  silent: number;
  error: ErrorShape | null;
};

export type VerbResultRead = { changed: number; version: number; error: ErrorShape | null };
export type HelloRead = { gateway: string; version: string; features: string[] };

/** Told of every frame of a message, in order. */
export type ConnectRead = {
  readonly sid: string;
  /** It was let in before, for a while. */
  readonly isRefresh: boolean;
};

export interface GatewayFrames {
  onHello(hello: HelloRead): void;
  onRequest(id: number, request: RequestRead): void;
  /** @param bytes Length of the message. */
  onConnect(id: number, connect: ConnectRead, bytes: number): void;
  onClosed(sid: string, reason: string): void;
  onLost(gateway: string): void;
  onCancel(id: number): void;
  onPushed(id: number, result: PushResultRead): void;
  onCredit(frames: number, bytes: number): void;
  onGoaway(reason: string): void;
  onDone(id: number, result: VerbResultRead): void;
  /** A frame that the contract does not have. */
  onUnknown(kind: number): void;
}

/** Reads a ToBackend. @throws {WireError} */
export function readToBackend(bytes: Buffer, frames: GatewayFrames): void {
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) readFrame(reader.message(), frames);
    else reader.skip();
  }
}

function readFrame(reader: WireReader, frames: GatewayFrames): void {
  let id = 0;
  while (reader.next()) {
    if (reader.field === 1) id = reader.uint();
    // The gateway writes the id first.
    else if (reader.type === BYTES) readKind(reader.field, id, reader.bytes(), frames);
    else reader.skip();
  }
}

function readKind(kind: number, id: number, bytes: Buffer, frames: GatewayFrames): void {
  switch (kind) {
    case 2:
      frames.onHello(readHello(bytes));
      return;
    case 3:
      frames.onRequest(id, readRequest(bytes));
      return;
    case 4:
      frames.onConnect(id, readConnect(bytes), bytes.length);
      return;
    case 5:
      frames.onClosed(readSidIn(bytes), textIn(bytes, 2));
      return;
    case 6:
      frames.onCancel(id);
      return;
    case 7:
      frames.onPushed(id, readPushResult(bytes));
      return;
    case 8:
      frames.onCredit(numberIn(bytes, 1), numberIn(bytes, 2));
      return;
    case 9:
      frames.onGoaway(textIn(bytes, 1));
      return;
    case 13:
      frames.onLost(textIn(bytes, 2));
      return;
    case 12:
      frames.onDone(id, readVerbResult(bytes));
      return;
    default:
      frames.onUnknown(kind);
  }
}

export function readRequest(bytes: Buffer): RequestRead {
  const reader = new WireReader(bytes);
  const request: RequestRead = {
    ...{ sid: '', uid: '', gateway: '', version: 0, route: '', isNotify: false },
    ...{ body: NOTHING, seq: 0, timeoutMs: 0, to: '', bytes: bytes.length },
  };
  while (reader.next()) {
    if (reader.field === 1) readSession(reader.message(), request);
    else if (reader.field === 2) request.route = reader.string();
    else if (reader.field === 3) request.isNotify = reader.bool();
    else if (reader.field === 4) request.body = reader.bytes();
    else if (reader.field === 5) request.seq = reader.uint();
    else if (reader.field === 6) request.timeoutMs = reader.uint();
    else if (reader.field === 8) request.to = reader.string();
    else reader.skip();
  }
  return request;
}

function readSession(reader: WireReader, into: RequestRead): void {
  while (reader.next()) {
    if (reader.field === 1) into.sid = reader.string();
    else if (reader.field === 2) into.uid = reader.string();
    else if (reader.field === 3) into.gateway = reader.string();
    else if (reader.field === 9) into.version = reader.uint();
    else reader.skip();
  }
}

/** Of the session that a ConnectRequest or a ClosedEvent begins with. */
/** A ConnectRequest. */
export function readConnect(bytes: Buffer): ConnectRead {
  return { sid: readSidIn(bytes), isRefresh: numberIn(bytes, 6) === 1 };
}

export function readSidIn(bytes: Buffer): string {
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) return textIn(reader.bytes(), 1);
    reader.skip();
  }
  return '';
}

function readHello(bytes: Buffer): HelloRead {
  const reader = new WireReader(bytes);
  const read: HelloRead = { gateway: '', version: '', features: [] };
  while (reader.next()) {
    if (reader.field === 1) read.gateway = reader.string();
    else if (reader.field === 2) read.version = reader.string();
    else if (reader.field === 3) read.features.push(reader.string());
    else reader.skip();
  }
  return read;
}

function readPushResult(bytes: Buffer): PushResultRead {
  const reader = new WireReader(bytes);
  const read: PushResultRead = { delivered: 0, dropped: 0, refused: 0, silent: 0, error: null };
  while (reader.next()) {
    if (reader.field === 1) read.delivered = reader.uint();
    else if (reader.field === 2) read.dropped = reader.uint();
    else if (reader.field === 3) read.refused = reader.uint();
    else if (reader.field === 7) {
      read.silent++;
      reader.skip();
    } else if (reader.field === 8) read.error = readError(reader.bytes());
    else reader.skip();
  }
  return read;
}

function readVerbResult(bytes: Buffer): VerbResultRead {
  const reader = new WireReader(bytes);
  const read: VerbResultRead = { changed: 0, version: 0, error: null };
  while (reader.next()) {
    if (reader.field === 1) read.changed = reader.uint();
    else if (reader.field === 2) read.version = reader.uint();
    else if (reader.field === 3) read.error = readError(reader.bytes());
    else reader.skip();
  }
  return read;
}

function readError(bytes: Buffer): ErrorShape {
  const reader = new WireReader(bytes);
  const read = { code: 0, reason: '', message: '' };
  while (reader.next()) {
    if (reader.field === 1) read.code = reader.int32();
    else if (reader.field === 2) read.reason = reader.string();
    else if (reader.field === 3) read.message = reader.string();
    else reader.skip();
  }
  return read;
}

function textIn(bytes: Buffer, field: number): string {
  const reader = new WireReader(bytes);
  let text = '';
  while (reader.next()) {
    if (reader.field === field) text = reader.string();
    else reader.skip();
  }
  return text;
}

function numberIn(bytes: Buffer, field: number): number {
  const reader = new WireReader(bytes);
  let number = 0;
  while (reader.next()) {
    if (reader.field === field) number = reader.uint();
    else reader.skip();
  }
  return number;
}

const NOTHING = Buffer.alloc(0);
