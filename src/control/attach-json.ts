/**
 * The frames of a Link as JSON text, for backends that attach by WebSocket: the proto3 JSON mapping with the names
 * of the .proto and zero values written; camelCase is read too. [protobuf.dev/programming-guides/json]
 *
 * A message is cut into its frames, and JSON that a frame has for a client is cut out of it and passes as it came; what
 * is left of a frame is converted, as much as `limits.convert` allows.
 */
import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';

import { asBuffer, NOTHING } from '../bytes.ts';
import { WireWriter } from '../contract/wire.ts';
import { failure } from '../errors.ts';
import { CONVERT_BYTES, tooMuchText, weightOfJson } from '../protocol/convert.ts';
import { Elements, elementsOf } from '../protocol/json-elements.ts';
import { isJson, Members } from '../protocol/json-scan.ts';
import { escapeAstral } from '../protocol/text.ts';
import { contractFiles } from './contract-files.ts';
import { bytesOf, readMessage } from '../upstream/method/json-reader.ts';

/** Messages in each other: JSON 64 deep in a Struct takes three for each, and some stand around it. */
const RECURSION_MAX = 250;

/** A text that is no ToGateway; its own text says where, and what to send instead. */
export class AttachJsonError extends Error {}

/** Frames of one message that are converted in one turn: a message may hold a million of them. */
export const FRAMES_PER_TURN = 500;
/** Bytes of their text after which a turn ends; the last one may be larger. */
export const BYTES_PER_TURN = 256 * 1024;

/** The frames of one message, in their order. */
export class FramesInJson {
  readonly #elements: Elements;
  #at = 0;

  constructor(list: Buffer) {
    this.#elements = new Elements(list);
  }

  get isAtEnd(): boolean {
    return this.#elements.isAtEnd;
  }

  /** null: that was the last one. `at`: its place. */
  next(): { readonly json: Buffer; readonly at: number } | null {
    const json = this.#elements.next();
    return json === null ? null : { json, at: this.#at++ };
  }
}

/** What came of a turn's frames. */
export type FromBackend = {
  /** One ToGateway, as a Link reads it. */
  readonly bytes: Buffer;
  /** Frames that are left out of it, which must be answered as what they are. */
  readonly refused: readonly RefusedFrame[];
};
export type RefusedFrame = {
  readonly id: number;
  readonly kind: 'push' | 'verb';
  readonly why: string;
};

const message = new Members(['frames']);
const frameMembers = new Members(['id', 'reply', 'connect', 'push', 'verb']);
const replyMembers = new Members(['body', 'error', 'pushes']);
const holderMembers = new Members(['body']);
const bodyMembers = new Members(['json']);
const NULL = Buffer.from('null');
const QUOTE = 0x22;

export class AttachJson {
  readonly #frame: DescMessage;
  readonly #toBackend: DescMessage;
  readonly #convertBytesMax: number;

  /**
   * Reads the descriptors, which takes some milliseconds.
   *
   * @param convertBytesMax `limits.convert`.
   */
  constructor(convertBytesMax = CONVERT_BYTES) {
    this.#frame = contractFiles().getMessage('pith.v1.BackendFrame')!;
    this.#toBackend = contractFiles().getMessage('pith.v1.ToBackend')!;
    this.#convertBytesMax = convertBytesMax;
  }

  /** @param text One ToGateway. @throws {AttachJsonError} It is none. */
  open(text: Buffer): FramesInJson {
    if (!message.read(text) && !isJson(text)) throw new AttachJsonError('the message is not JSON');
    const frames = message.get('frames') ?? NOTHING;
    message.forget();
    if (frames[0] !== 0x5b)
      throw new AttachJsonError('a message is {"frames":[…]}, a pith.v1.ToGateway');
    return new FramesInJson(frames);
  }

  /**
   * Converts the next frames, as many as one turn of the event loop may. Fields that it does not know are passed over.
   *
   * @throws {AttachJsonError} One of them is none.
   */
  toGateway(frames: FramesInJson): FromBackend {
    const writer = new WireWriter(1_024);
    const refused: RefusedFrame[] = [];
    let bytes = 0;
    for (let count = 0; count < FRAMES_PER_TURN && bytes < BYTES_PER_TURN; count++) {
      const next = frames.next();
      if (next === null) break;
      const frame = this.#frameOf(next.json, `frames[${next.at}]`);
      if (Buffer.isBuffer(frame)) writer.bytes(1, frame);
      else refused.push(frame);
      bytes += next.json.length;
    }
    return { bytes: writer.take(), refused };
  }

  #frameOf(json: Buffer, where: string): Buffer | RefusedFrame {
    if (!frameMembers.readKnown(json)) throw new AttachJsonError(`${where} is no object`);
    const id = idOf(frameMembers.get('id'));
    const kind = KINDS.find((name) => frameMembers.get(name) !== null);
    const bodies = bodiesIn(frameMembers.get('reply'), frameMembers.get('push'));
    const rest = bodies.length === 0 ? json : without(json, bodies);
    const read = this.#read(rest);
    if ('message' in read) {
      for (const { path, json: body } of bodies) putBody(read.message, path, body);
      return bytesOf(this.#frame, read.message);
    }
    const why = `${where}: ${read.problem}`;
    if (kind === undefined || id === null) throw new AttachJsonError(why);
    return kind === 'reply' || kind === 'connect' ? refusal(id, kind, why) : { id, kind, why };
  }

  #read(json: Buffer): ReturnType<typeof readMessage> {
    const bytesMax = this.#convertBytesMax;
    const weight = weightOfJson(json, bytesMax);
    if (weight > bytesMax) return { fields: null, problem: tooMuchText('it', weight, bytesMax) };
    return readMessage(this.#frame, json, {
      registry: contractFiles(),
      ignoreUnknownFields: true,
      recursionLimit: RECURSION_MAX,
    });
  }

  /** @param bytes One ToBackend, as a Link writes it. */
  toBackend(bytes: Buffer): string {
    const message = fromBinary(this.#toBackend, bytes, { recursionLimit: RECURSION_MAX });
    const bodies = takeBodies(message as unknown as ToBackend);
    const json = toJson(this.#toBackend, message, {
      useProtoFieldName: true,
      alwaysEmitImplicit: true,
    }) as ToBackendJson;
    for (const [at, body] of bodies)
      json.frames[at]!.request!.body = asBuffer(body).toString('base64');
    return JSON.stringify(json);
  }
}

const KINDS = ['reply', 'connect', 'push', 'verb'] as const;

/** JSON that is a client's, and where it was found. */
type BodyJson = { readonly path: readonly (string | number)[]; readonly json: Buffer };

/** `reply.body`, `reply.error.body`, `reply.pushes[].body` and `push.body`, where they are `json`. */
function bodiesIn(reply: Buffer | null, push: Buffer | null): BodyJson[] {
  const found: BodyJson[] = [];
  if (push !== null) addHeld(found, ['push', 'body'], push);
  if (reply === null || !replyMembers.readKnown(reply)) return found;
  const [body, error, pushes] = (['body', 'error', 'pushes'] as const).map((name) =>
    replyMembers.get(name),
  );
  addBody(found, ['reply', 'body'], body!);
  if (error !== null) addHeld(found, ['reply', 'error', 'body'], error!);
  if (pushes === null) return found;
  for (const [at, one] of elementsOf(pushes!).entries())
    addHeld(found, ['reply', 'pushes', at, 'body'], one);
  return found;
}

function addHeld(found: BodyJson[], path: BodyJson['path'], holder: Buffer): void {
  if (holderMembers.readKnown(holder)) addBody(found, path, holderMembers.get('body'));
}

function addBody(found: BodyJson[], path: BodyJson['path'], body: Buffer | null): void {
  if (body === null || !bodyMembers.readKnown(body)) return;
  const json = bodyMembers.get('json');
  if (json !== null) found.push({ path, json });
}

/** The frame with null for each of them, so that it is known where they were. */
function without(frame: Buffer, bodies: readonly BodyJson[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { json } of bodies.toSorted((a, b) => a.json.byteOffset - b.json.byteOffset)) {
    const start = json.byteOffset - frame.byteOffset;
    parts.push(frame.subarray(at, start), NULL);
    at = start + json.length;
  }
  return Buffer.concat([...parts, frame.subarray(at)]);
}

type Holder = { frame: { case: string; value: unknown } };
type BodyMessage = { content: { case: string; value: unknown } };

function putBody(frame: unknown, path: BodyJson['path'], json: Buffer): void {
  // A oneof is held as its case and its value.
  let inner: unknown = (frame as Holder).frame.value;
  for (const step of path.slice(1)) inner = inOneof(inner, step);
  // Alone it is read by no parser of JSON that knows how a client wants its text; in an object it is made so later.
  const value = json[0] === QUOTE ? escapeAstral(json) : json;
  (inner as BodyMessage).content = { case: 'bytes', value };
}

function inOneof(message: unknown, step: string | number): unknown {
  const fields = message as Record<string, unknown>;
  const { outcome } = fields as { outcome?: { case?: string; value?: unknown } };
  return outcome?.case === step ? outcome.value : fields[step];
}

/** Stands for an answer that cannot be read: its request fails, and nothing beside it. */
function refusal(id: number, kind: 'reply' | 'connect', why: string): Buffer {
  const { code, reason } = failure('BAD_REPLY');
  const error = new WireWriter();
  error.int32(1, code);
  error.string(2, reason);
  error.string(3, `the answer: ${why}`);
  const outcome = new WireWriter();
  outcome.bytes(2, error.take());
  const frame = new WireWriter();
  frame.uint(1, id);
  frame.bytes(kind === 'reply' ? 3 : 4, outcome.take());
  return frame.take();
}

/** null: it is none, so nobody can be told. */
function idOf(json: Buffer | null): number | null {
  const id = json === null ? 0 : Number(json.toString('latin1').replaceAll('"', ''));
  return Number.isSafeInteger(id) && id >= 0 && id <= 0xffff_ffff ? id : null;
}

/** What is looked at here of a pith.v1.ToBackend, and of its JSON. */
type ToBackend = {
  frames: { frame: { case: string | undefined; value?: { body?: Uint8Array } } }[];
};
type ToBackendJson = { frames: { request?: { body: string } }[] };

/**
 * Takes the bodies of requests out, by the place of their frame: the library writes base64 so slowly that a turn
 * of large ones would hold up everybody.
 */
function takeBodies({ frames }: ToBackend): [number, Uint8Array][] {
  const bodies: [number, Uint8Array][] = [];
  for (const [at, { frame }] of frames.entries()) {
    if (frame.case !== 'request') continue;
    bodies.push([at, frame.value!.body!]);
    frame.value!.body = NOTHING;
  }
  return bodies;
}
