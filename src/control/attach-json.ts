/**
 * The frames of a Link as JSON text, for backends that attach over WebSocket: the proto3 JSON mapping, written with the
 * names of the .proto and with zero values; camelCase is read too. [protobuf.dev/programming-guides/json]
 *
 * A message is split into its frames. JSON for a client is cut out of a frame and passes unchanged; the rest of the frame
 * is converted, up to `limits.convert`.
 */
import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';

import { asBuffer, NOTHING } from '../bytes.ts';
import { WireWriter } from '../contract/protobuf-wire.ts';
import { failure } from '../errors.ts';
import { CONVERT_BYTES, tooMuchText, weightOfJson } from '../protocol/conversion-limit.ts';
import { Elements, elementsOf } from '../protocol/json-elements.ts';
import { isJson, Members } from '../protocol/json-scan.ts';
import { escapeAstral } from '../protocol/text.ts';
import { contractFiles } from './contract-files.ts';
import { bytesOf, readMessage } from '../upstream/method/json-reader.ts';

/** How deep messages may be nested: JSON 64 deep in a Struct takes three for each level, plus those around it. */
const RECURSION_MAX = 250;

/** A text that is not a ToGateway. The message says where, and what is expected. */
export class AttachJsonError extends Error {}

/** Frames of a message that are converted in one turn of the event loop: a message may hold a million. */
export const FRAMES_PER_TURN = 500;
/** Bytes of text after which a turn ends; the last frame may exceed it. */
export const BYTES_PER_TURN = 256 * 1024;

/** The frames of one message, in order. */
export class FramesInJson {
  readonly #elements: Elements;
  #at = 0;

  constructor(list: Buffer) {
    this.#elements = new Elements(list);
  }

  get isAtEnd(): boolean {
    return this.#elements.isAtEnd;
  }

  /** null: that was the last one. `at`: its index. */
  next(): { readonly json: Buffer; readonly at: number } | null {
    const json = this.#elements.next();
    return json === null ? null : { json, at: this.#at++ };
  }
}

/** The converted frames of one turn. */
export type FromBackend = {
  /** One ToGateway, as a Link reads it. */
  readonly bytes: Buffer;
  /** Frames that are not in it, because they could not be read, and must be answered. */
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

  /** @param text One ToGateway. @throws {AttachJsonError} It is not one. */
  open(text: Buffer): FramesInJson {
    if (!message.read(text) && !isJson(text)) throw new AttachJsonError('the message is not JSON');
    const frames = message.get('frames') ?? NOTHING;
    message.forget();
    if (frames[0] !== 0x5b)
      throw new AttachJsonError('expected {"frames":[…]}, a pith.v1.ToGateway');
    return new FramesInJson(frames);
  }

  /**
   * Converts the next frames, as many as one turn of the event loop may take. Unknown fields are ignored.
   *
   * @throws {AttachJsonError} One of them is not a frame.
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
    if (!frameMembers.readKnown(json)) throw new AttachJsonError(`${where} is not an object`);
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

/** JSON for a client, and where in the frame it was. */
type BodyJson = { readonly path: readonly (string | number)[]; readonly json: Buffer };

/** `reply.body`, `reply.error.body`, `reply.pushes[].body` and `push.body`, if they are `json`. */
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

/** The frame with null in place of each of them, which marks where they were. */
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
  // A bare string is made readable for clients here; objects and lists are handled when they are encoded for a client.
  const value = json[0] === QUOTE ? escapeAstral(json) : json;
  (inner as BodyMessage).content = { case: 'bytes', value };
}

function inOneof(message: unknown, step: string | number): unknown {
  const fields = message as Record<string, unknown>;
  const { outcome } = fields as { outcome?: { case?: string; value?: unknown } };
  return outcome?.case === step ? outcome.value : fields[step];
}

/** Replaces an answer that cannot be read: only its request fails. */
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

/** null: not an id, so nothing can be answered. */
function idOf(json: Buffer | null): number | null {
  const id = json === null ? 0 : Number(json.toString('latin1').replaceAll('"', ''));
  return Number.isSafeInteger(id) && id >= 0 && id <= 0xffff_ffff ? id : null;
}

/** The parts of a pith.v1.ToBackend, and of its JSON, that are used here. */
type ToBackend = {
  frames: { frame: { case: string | undefined; value?: { body?: Uint8Array } } }[];
};
type ToBackendJson = { frames: { request?: { body: string } }[] };

/**
 * Takes out the bodies of requests, by the index of their frame: the library encodes base64 so slowly that a turn with
 * large ones would block the event loop.
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
