/** One file of pomelo-protobuf definitions at work: which routes it knows, their bodies both ways. */
import { createHash } from 'node:crypto';

import type { StringForm } from '../text.ts';
import { parseProtos, type ProtosDefinition, type ProtosProblem } from './definition.ts';
import type { Faulty } from './fault.ts';
import { type Decoded, Reader } from './reader.ts';
import { compile, type MessageType } from './schema.ts';
import { Writer, type Written } from './writer.ts';

export type { ProtosProblem } from './definition.ts';
export type { Decoded, WrittenBy } from './reader.ts';

const EMPTY = Buffer.alloc(0);

/** Shared by all: a body is read or written in one go. */
const reader = new Reader();
const writer = new Writer();

export class Protos {
  /** What the handshake sends, as Pomelo's parser makes it. */
  readonly parsed: object;
  /** What cannot work. A field of these is left out of what is read and written. */
  readonly problems: readonly ProtosProblem[];
  /** What Pomelo passes over without a word, and what not every client bears. */
  readonly warnings: readonly ProtosProblem[];
  readonly #types: ReadonlyMap<string, MessageType>;

  constructor(definition: ProtosDefinition) {
    this.parsed = definition.parsed;
    this.problems = definition.problems;
    this.warnings = definition.warnings;
    this.#types = compile(definition);
  }

  /** Of the JSON value of clientProtos.json or serverProtos.json; see `problems`. */
  static of(definition: unknown): Protos {
    return new Protos(parseProtos(definition));
  }

  knows(route: string): boolean {
    return this.#types.has(route);
  }

  /** The value of a body, which shares no memory with it. An unknown route is a fault. */
  decode(route: string, body: Buffer): Decoded | Faulty {
    const type = this.#types.get(route);
    return type === undefined ? noProto(route) : reader.decode(type, body);
  }

  /** The body of a JSON object; see `encodeValue`. */
  encode(route: string, json: Uint8Array, strings: StringForm): Written | Faulty {
    const value = parseJson(json);
    if (value === undefined) return { fault: { path: '', message: 'not JSON' } };
    return this.encodeValue(route, value, strings);
  }

  /** The body of a value as JSON.parse gives one; see `Writer.encode`. An unknown route is a fault. */
  encodeValue(route: string, value: unknown, strings: StringForm): Written | Faulty {
    const type = this.#types.get(route);
    return type === undefined ? noProto(route) : writer.encode(type, value, strings);
  }

  /** What there is of a JSON object in the route's message; see `Writer.encodeLoosely`. Empty for an unknown route. */
  encodeLoosely(route: string, json: Uint8Array, strings: StringForm): Buffer {
    const type = this.#types.get(route);
    return type === undefined ? EMPTY : writer.encodeLoosely(type, parseJson(json), strings);
  }
}

/** undefined: it is no JSON. */
function parseJson(json: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.length).toString());
  } catch {
    return undefined;
  }
}

function noProto(route: string): Faulty {
  return { fault: { path: '', message: `no proto for ${route}` } };
}

/**
 * The version by which clients keep both parsed forms; that of a file that is not there is `{}`. base64 of the MD5
 * of their JSON, those of clients first. [pomelo 2.2.7 components/protobuf.js]
 */
export function protosVersion(
  client: Pick<Protos, 'parsed'>,
  server: Pick<Protos, 'parsed'>,
): string {
  const text = JSON.stringify(client.parsed) + JSON.stringify(server.parsed);
  return createHash('md5').update(text).digest('base64');
}
