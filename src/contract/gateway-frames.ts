/** What the gateway sends: the frames of a Link, and the Request of a Handle call. Shapes: proto/pith/v1. */
import { NOTHING } from '../bytes.ts';
import { encodeStruct, StructError } from './struct.ts';
import { encodeMs, fieldBytes, putHead, varintBytes, WireWriter } from './protobuf-wire.ts';
import { type Failure, failure } from '../errors.ts';
import type { JsonObject } from './commands.ts';
import type { ConnectFacts, SessionFacts, Trace } from './facts.ts';

/** A Session as a backend sees it: the part of its data that the route forwards, and groups only in a ConnectRequest. */
export function encodeSession(
  session: Omit<SessionFacts, 'data' | 'groups'>,
  data: JsonObject | null,
  groups: readonly string[] = [],
): Buffer {
  const writer = new WireWriter(256);
  writer.string(1, session.sid);
  writer.string(2, session.uid);
  writer.string(3, session.gatewayId);
  writer.string(4, session.remoteIp);
  writer.string(5, session.clientType);
  writer.string(6, session.clientVersion);
  writer.bytes(7, encodeMs(session.openedAtWall));
  if (data !== null) writer.bytes(8, within('data', data));
  writer.uint(9, session.version);
  writer.strings(10, groups);
  writer.string(11, session.connection.transport);
  writer.string(12, session.dialect);
  if (session.boundAtWall > 0) writer.bytes(13, encodeMs(session.boundAtWall));
  return writer.take();
}

/** @throws {StructError} The path in its text begins with `name`. */
function within(name: string, object: JsonObject): Buffer {
  try {
    return encodeStruct(object);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    throw error.under(name);
  }
}

/** The same, with a failure for data that no Struct can hold: another backend has set it, in JSON. */
export function encodeSessionOr(session: SessionFacts, data: JsonObject | null): Buffer | Failure {
  try {
    return encodeSession(session, data);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    return failure('UNSUPPORTED', `session data for this backend: ${error.message}`);
  }
}

/** The ConnectRequest, with a failure for what no Struct can hold, from the client or from another backend. */
export function encodeConnectOr(facts: ConnectFacts): Buffer | Failure {
  try {
    return encodeConnect(facts);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    return failure('BAD_BODY', `the handshake: ${error.message}`);
  }
}

/** The fields of a Request but for the session, which is encoded already and shared by many, and the time that is left. */
export type RequestFields = {
  readonly route: string;
  readonly wantsAnswer: boolean;
  readonly body: Uint8Array;
  readonly seq: number;
  /** '' for any. */
  readonly instance: string;
  readonly trace: Trace | null;
};

/** `route` and `instance` are ASCII: routes by their grammar, instances by the caller's check of their bytes. */
function requestBytes(request: RequestFields, session: Buffer, timeoutMs: number): number {
  const { body, instance, route, seq, trace, wantsAnswer } = request;
  return (
    fieldBytes(session.length) +
    fieldBytes(route.length) +
    (wantsAnswer ? 0 : 2) +
    (body.length === 0 ? 0 : fieldBytes(body.length)) +
    1 +
    varintBytes(seq) +
    1 +
    varintBytes(timeoutMs) +
    (instance === '' ? 0 : fieldBytes(Buffer.byteLength(instance))) +
    traceBytes(trace)
  );
}

/** Tags of a Request's fields. */
const SESSION_TAG = 0x0a;
const ROUTE_TAG = 0x12;
const NOTIFY_TAG = 0x18;
const BODY_TAG = 0x22;
const SEQ_TAG = 0x28;
const TIMEOUT_TAG = 0x30;
const HEADERS_TAG = 0x3a;
const INSTANCE_TAG = 0x42;

/** Writes it where there is room for it, and returns where it ends: there is one per client message. */
function putRequest(
  into: Buffer,
  start: number,
  request: RequestFields,
  session: Buffer,
  timeoutMs: number,
): number {
  const { body, instance, route, seq, trace, wantsAnswer } = request;
  let at = putHead(into, start, SESSION_TAG, session.length);
  into.set(session, at);
  at = putHead(into, at + session.length, ROUTE_TAG, route.length);
  for (let i = 0; i < route.length; i++) into[at++] = route.charCodeAt(i);
  if (!wantsAnswer) at = putHead(into, at, NOTIFY_TAG, 1);
  if (body.length > 0) {
    at = putHead(into, at, BODY_TAG, body.length);
    into.set(body, at);
    at += body.length;
  }
  at = putHead(into, at, SEQ_TAG, seq);
  at = putHead(into, at, TIMEOUT_TAG, timeoutMs);
  if (trace !== null) {
    at = putHeader(into, at, 'traceparent', trace.traceparent);
    if (trace.tracestate !== '') at = putHeader(into, at, 'tracestate', trace.tracestate);
  }
  return instance === '' ? at : putText(into, at, INSTANCE_TAG, instance);
}

/** Bytes of an entry of Request.headers; both are ASCII. */
function headerBytes(name: string, value: string): number {
  return fieldBytes(name.length) + fieldBytes(value.length);
}

function traceBytes(trace: Trace | null): number {
  if (trace === null) return 0;
  const { traceparent, tracestate } = trace;
  const parent = fieldBytes(headerBytes('traceparent', traceparent));
  return tracestate === '' ? parent : parent + fieldBytes(headerBytes('tracestate', tracestate));
}

function putHeader(into: Buffer, start: number, name: string, value: string): number {
  const at = putHead(into, start, HEADERS_TAG, headerBytes(name, value));
  return putText(into, putText(into, at, 0x0a, name), 0x12, value);
}

function putText(into: Buffer, start: number, tag: number, text: string): number {
  const at = putHead(into, start, tag, Buffer.byteLength(text));
  return at + into.write(text, at);
}

/** The Request of a Handle call. */
export function encodeRequest(request: RequestFields, session: Buffer, timeoutMs: number): Buffer {
  const encoded = Buffer.allocUnsafe(requestBytes(request, session, timeoutMs));
  putRequest(encoded, 0, request, session, timeoutMs);
  return encoded;
}

/** Tags of a ToBackend's frames, and of a frame's id and request. */
const FRAME_TAG = 0x0a;
const ID_TAG = 0x08;
const REQUEST_TAG = 0x1a;

/**
 * Appends a request frame to a ToBackend message: written in place, since there is one per client message.
 *
 * @returns The Request's length.
 */
export function writeRequestFrame(
  writer: WireWriter,
  id: number,
  request: RequestFields,
  session: Buffer,
  timeoutMs: number,
): number {
  const length = requestBytes(request, session, timeoutMs);
  const idBytes = id === 0 ? 0 : 1 + varintBytes(id);
  const frameBytes = idBytes + fieldBytes(length);
  const into = writer.room(fieldBytes(frameBytes));
  let at = putHead(into, writer.length, FRAME_TAG, frameBytes);
  if (id !== 0) at = putHead(into, at, ID_TAG, id);
  at = putHead(into, at, REQUEST_TAG, length);
  writer.wrote(putRequest(into, at, request, session, timeoutMs));
  return length;
}

/** The ConnectRequest of a handshake: everything that is known of the session. @throws {StructError} */
export function encodeConnect(facts: ConnectFacts): Buffer {
  const { session, user, sys, headers, resumed, refresh } = facts;
  const writer = new WireWriter(1_024);
  writer.bytes(1, encodeSession(session, session.data, [...session.groups]));
  writer.bytes(2, within('user', user));
  writer.bytes(3, within('sys', sys));
  for (const name of Object.keys(headers)) {
    const entry = new WireWriter();
    entry.text(1, name);
    entry.text(2, headers[name]!);
    writer.bytes(4, entry.take());
  }
  writer.bool(5, resumed);
  writer.bool(6, refresh);
  return writer.take();
}

/** Field numbers of GatewayFrame. */
const GATEWAY_FRAME = {
  hello: 2,
  connect: 4,
  closed: 5,
  cancel: 6,
  pushed: 7,
  credit: 8,
  goaway: 9,
  done: 12,
  lost: 13,
} as const;

export function writeFrame(
  writer: WireWriter,
  id: number,
  kind: keyof typeof GATEWAY_FRAME,
  message: Buffer,
): void {
  const frame = new WireWriter(message.length + 16);
  frame.uint(1, id);
  frame.bytes(GATEWAY_FRAME[kind], message);
  writer.bytes(1, frame.take());
}

/** @param features What this gateway supports beyond the first release of the contract. */
export function writeHello(
  writer: WireWriter,
  gateway: string,
  version: string,
  features: readonly string[] = [],
): void {
  const hello = new WireWriter();
  hello.string(1, gateway);
  hello.string(2, version);
  hello.strings(3, features);
  writeFrame(writer, 0, 'hello', hello.take());
}

export function writeConnect(writer: WireWriter, id: number, connect: Buffer): void {
  writeFrame(writer, id, 'connect', connect);
}

export function writeCancel(writer: WireWriter, id: number): void {
  writeFrame(writer, id, 'cancel', NOTHING);
}

export function writeCredit(writer: WireWriter, frames: number, bytes: number): void {
  const credit = new WireWriter();
  credit.uint(1, frames);
  credit.uint(2, bytes);
  writeFrame(writer, 0, 'credit', credit.take());
}

export function writeGoaway(writer: WireWriter, reason: string): void {
  const goaway = new WireWriter();
  goaway.string(1, reason);
  writeFrame(writer, 0, 'goaway', goaway.take());
}

/** What became of a push, for the backend that asked. */
export type PushedFields = {
  readonly delivered: number;
  readonly dropped: number;
  readonly refused: number;
  readonly gateways: number;
  readonly unknownUids: readonly string[];
  readonly unknownSids: readonly string[];
  readonly silentGateways: readonly string[];
  /** Users for whom it was kept. */
  readonly kept: number;
  /** Why no session got it. */
  readonly failure?: Failure;
};

export function encodePushed(pushed: PushedFields): Buffer {
  const writer = new WireWriter();
  writer.uint(1, pushed.delivered);
  writer.uint(2, pushed.dropped);
  writer.uint(3, pushed.refused);
  writer.uint(4, pushed.gateways);
  writer.strings(5, pushed.unknownUids);
  writer.strings(6, pushed.unknownSids);
  writer.strings(7, pushed.silentGateways);
  if (pushed.failure !== undefined) writer.bytes(8, encodeRefusal(pushed.failure));
  writer.uint(9, pushed.kept);
  return writer.take();
}

export function writePushed(writer: WireWriter, id: number, pushed: PushedFields): void {
  writeFrame(writer, id, 'pushed', encodePushed(pushed));
}

export type DoneFields = {
  readonly changed: number;
  readonly version: number;
  readonly failure: Failure | null;
};

export function writeDone(writer: WireWriter, id: number, done: DoneFields): void {
  const result = new WireWriter();
  result.uint(1, done.changed);
  result.uint(2, done.version);
  if (done.failure !== null) result.bytes(3, encodeRefusal(done.failure));
  writeFrame(writer, id, 'done', result.take());
}

function encodeRefusal({ code, reason, message }: Failure): Buffer {
  const error = new WireWriter();
  error.int32(1, code);
  error.string(2, reason);
  error.string(3, message);
  return error.take();
}
