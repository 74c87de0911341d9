/**
 * The frames of a Link as JSON text, for backends that attach by WebSocket: the proto3 JSON mapping with the names
 * of the .proto and zero values written; camelCase is read too. [protobuf.dev/programming-guides/json]
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

import { errorText } from '../errors.ts';

const DESCRIPTOR_SET = fileURLToPath(new URL('../gen/pith.binpb', import.meta.url));
/** Messages in each other: JSON 64 deep in a Struct takes three for each, and some stand around it. */
const RECURSION_MAX = 250;

/** A text that is no ToGateway; its own text says where, and what to send instead. */
export class AttachJsonError extends Error {}

export class AttachJson {
  readonly #toGateway: DescMessage;
  readonly #toBackend: DescMessage;

  /** Reads the descriptors, which takes some milliseconds. */
  constructor() {
    const set = fromBinary(FileDescriptorSetSchema, readFileSync(DESCRIPTOR_SET));
    const registry = createFileRegistry(set);
    this.#toGateway = registry.getMessage('pith.v1.ToGateway')!;
    this.#toBackend = registry.getMessage('pith.v1.ToBackend')!;
  }

  /** @param text One ToGateway. Fields that it does not know are passed over. @throws {AttachJsonError} */
  toGateway(text: string): Buffer {
    let value: JsonValue;
    try {
      value = JSON.parse(text) as JsonValue;
    } catch (error) {
      throw new AttachJsonError(`the message is not JSON: ${errorText(error)}`);
    }
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isObject || !Object.hasOwn(value as object, 'frames'))
      throw new AttachJsonError('a message is {"frames":[…]}, a pith.v1.ToGateway');
    try {
      const message = fromJson(this.#toGateway, value, { ignoreUnknownFields: true });
      return asBuffer(toBinary(this.#toGateway, message));
    } catch (error) {
      throw new AttachJsonError(errorText(error));
    }
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

/** What is looked at here of a pith.v1.ToBackend, and of its JSON. */
type ToBackend = {
  frames: { frame: { case: string | undefined; value?: { body?: Uint8Array } } }[];
};
type ToBackendJson = { frames: { request?: { body: string } }[] };

const NOTHING = new Uint8Array();

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

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
