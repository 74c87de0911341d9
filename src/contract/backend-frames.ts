/** The frames that a backend sends on a Link. Shapes: proto/pith/v1. */
import { decodeClose, decodePatch, decodePush, decodeTarget } from './protobuf-shapes.ts';
import { StructError } from './struct.ts';
import { decodeDurationMs, WireReader } from './protobuf-wire.ts';
import type { Close, Patch, Push, Target } from './commands.ts';

/** Bytes that are read of a backend's name or reason; the rest is ignored. */
const TEXT_BYTES_MAX = 256;

/** Features that are read of a hello; the rest is ignored. */
const FEATURES_MAX = 64;

export type BackendHello = { instance: string; version: string; maxInFlight: number };
/** What one side may send: frames, and bytes in all. */
export type Credit = { readonly frames: number; readonly bytes: number };
export type SessionVerb = { target: Target; patch: Patch | null; close: Close | null };

/** Called for every frame of a message, in order. */
export interface FrameHandler {
  /** Bytes of JSON that may be made of one frame: `limits.convert`. */
  readonly convertBytesMax: number;
  onHello(hello: BackendHello, features: readonly string[]): void;
  onReply(id: number, reply: WireReader): void;
  /** A reply that is a body and nothing else, as nearly every one is. Absent: `onReply` gets it too. @param body A view. */
  onBody?(id: number, body: Buffer): void;
  onConnect(id: number, connect: WireReader): void;
  /** @param bytes Length of the encoded Push or SessionVerb, which is what credit counts. */
  onPush(id: number, push: Push, bytes: number): void;
  onVerb(id: number, verb: SessionVerb, bytes: number): void;
  onCredit(credit: Credit): void;
  onGoaway(reason: string): void;
  onExtend(id: number, timeoutMs: number): void;
}

/** Reads a ToGateway message, a frame at a time. */
export class ToGatewayReader {
  readonly #bytes: Buffer;
  readonly #message: WireReader;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#message = new WireReader(bytes);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#message.position;
  }

  /** Reads the next field; false at the end. @throws {WireError} */
  readFrame(handler: FrameHandler): boolean {
    const message = this.#message;
    if (handler.onBody !== undefined && findBody(this.#bytes, message.position)) {
      const { id, start, end } = found;
      // Before it is dealt with, which may read on.
      message.goTo(end);
      handler.onBody(id, this.#bytes.subarray(start, end));
      return true;
    }
    if (!message.next()) return false;
    if (message.field === 1) readFrame(message.message(), handler);
    else message.skip();
    return true;
  }
}

/** Reads all of a ToGateway message. @throws {WireError} */
export function readToGateway(bytes: Buffer, handler: FrameHandler): void {
  const message = new ToGatewayReader(bytes);
  while (message.readFrame(handler));
}

/** Field numbers of BackendFrame. */
const BACKEND_FRAME = {
  hello: 2,
  reply: 3,
  connect: 4,
  push: 5,
  verb: 6,
  credit: 7,
  goaway: 8,
  extend: 9,
} as const;
const FRAMES: ReadonlySet<number> = new Set(Object.values(BACKEND_FRAME));

/** The tags that begin a frame of an answer: the frame, its id, the reply, its body, and the bytes or the text in that. */
const FRAME_TAG = 0x0a;
const ID_TAG = 0x08;
const REPLY_TAG = 0x1a;
const BODY_TAG = 0x0a;
const BYTES_TAG = 0x0a;
const TEXT_TAG = 0x1a;
/** Groups of seven bits in a number of 32 bits, as an id is. */
const GROUPS_MAX = 5;

/** What `findBody` found: the id, and the body's place. Made once, for there is one per answer. */
const found = { id: 0, start: 0, end: 0 };
/** Where `varint` left off. */
let varintEnd = 0;

/** A number at `at`; -1: it is longer than any that is read here. */
function varint(bytes: Buffer, at: number): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < GROUPS_MAX; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return -1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      varintEnd = at + i + 1;
      return value;
    }
    scale *= 128;
  }
  return -1;
}

/**
 * Whether the frame at `at` is an id and a reply that is nothing but a body, with nothing left over at any end: then it is
 * in `found`. Others have to be read with more care.
 */
function findBody(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== FRAME_TAG) return false;
  const length = varint(bytes, at + 1);
  const end = varintEnd + length;
  if (length < 0 || end > bytes.length || bytes[varintEnd] !== ID_TAG) return false;
  const id = varint(bytes, varintEnd + 1);
  if (id < 0 || !spans(bytes, varintEnd, REPLY_TAG, end)) return false;
  if (!spans(bytes, varintEnd, BODY_TAG, end)) return false;
  const tag = bytes[varintEnd] === TEXT_TAG ? TEXT_TAG : BYTES_TAG;
  if (!spans(bytes, varintEnd, tag, end)) return false;
  found.id = id;
  found.start = varintEnd;
  found.end = end;
  return true;
}

/** Whether the field at `at` has this tag and ends at `end`; its content begins at `varintEnd` then. */
function spans(bytes: Buffer, at: number, tag: number, end: number): boolean {
  if (bytes[at] !== tag) return false;
  const length = varint(bytes, at + 1);
  return length >= 0 && varintEnd + length === end;
}

function readFrame(frame: WireReader, handler: FrameHandler): void {
  let id = 0;
  let kind = 0;
  let bytes = 0;
  let message: WireReader | null = null;
  // Fields may come in any order, the id last.
  while (frame.next()) {
    if (frame.field === 1) {
      id = frame.uint();
    } else if (FRAMES.has(frame.field)) {
      kind = frame.field;
      if (kind === BACKEND_FRAME.push || kind === BACKEND_FRAME.verb) {
        const view = frame.bytes();
        bytes = view.length;
        message = new WireReader(view);
      } else {
        message = frame.message();
      }
    } else {
      frame.skip();
    }
  }
  if (message === null) return;
  if (kind === BACKEND_FRAME.reply) handler.onReply(id, message);
  else if (kind === BACKEND_FRAME.push)
    handler.onPush(id, decodePush(message, handler.convertBytesMax), bytes);
  else if (kind === BACKEND_FRAME.verb)
    handler.onVerb(id, decodeVerb(message, handler.convertBytesMax), bytes);
  else if (kind === BACKEND_FRAME.connect) handler.onConnect(id, message);
  else if (kind === BACKEND_FRAME.hello) readHello(message, handler);
  else if (kind === BACKEND_FRAME.credit) handler.onCredit(decodeCredit(message));
  else if (kind === BACKEND_FRAME.goaway) handler.onGoaway(decodeGoaway(message));
  else if (kind === BACKEND_FRAME.extend) handler.onExtend(id, decodeExtend(message));
}

function readHello(reader: WireReader, handler: FrameHandler): void {
  const hello = { instance: '', version: '', maxInFlight: 0 };
  const features: string[] = [];
  while (reader.next()) {
    if (reader.field === 1) hello.instance = shortText(reader);
    else if (reader.field === 2) hello.version = shortText(reader);
    else if (reader.field === 3 && features.length < FEATURES_MAX) features.push(shortText(reader));
    else if (reader.field === 5) hello.maxInFlight = reader.uint();
    else reader.skip();
  }
  handler.onHello(hello, features);
}

/** As much of a name or a reason as is kept or logged. */
function shortText(reader: WireReader): string {
  return reader.bytes().toString('utf8', 0, TEXT_BYTES_MAX);
}

function decodeCredit(reader: WireReader): Credit {
  const credit = { frames: 0, bytes: 0 };
  while (reader.next()) {
    if (reader.field === 1) credit.frames = reader.uint();
    else if (reader.field === 2) credit.bytes = reader.uint();
    else reader.skip();
  }
  return credit;
}

function decodeGoaway(reader: WireReader): string {
  let reason = '';
  while (reader.next()) {
    if (reader.field === 1) reason = shortText(reader);
    else reader.skip();
  }
  return reason;
}

function decodeExtend(reader: WireReader): number {
  let ms = 0;
  while (reader.next()) {
    if (reader.field === 1) ms = decodeDurationMs(reader.message());
    else reader.skip();
  }
  return ms;
}

/** A verb whose target cannot be converted reaches no session, and has a patch that carries the fault. */
function decodeVerb(reader: WireReader, convertBytesMax: number): SessionVerb {
  const verb: SessionVerb = { target: {}, patch: null, close: null };
  let fault: string | null = null;
  while (reader.next()) {
    if (reader.field === 1) fault = readVerbTarget(reader.message(), verb, convertBytesMax);
    else if (reader.field === 2) verb.patch = decodePatch(reader.message(), convertBytesMax);
    else if (reader.field === 3) verb.close = decodeClose(reader.message());
    else reader.skip();
  }
  return fault === null ? verb : { target: {}, patch: { fault }, close: null };
}

/** What is wrong with the target; null: nothing. */
function readVerbTarget(
  reader: WireReader,
  into: SessionVerb,
  convertBytesMax: number,
): string | null {
  try {
    into.target = decodeTarget(reader, convertBytesMax);
    return null;
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    return error.under('target').message;
  }
}
