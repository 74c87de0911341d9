/** One file of pomelo-protobuf definitions, compiled: which routes it covers, and their bodies both ways. */
import { createHash } from 'node:crypto';

import { asBuffer, NOTHING } from '../../bytes.ts';
import { parseExact, rawNumber } from '../exact-json.ts';
import type { StringForm } from '../text.ts';
import { parseProtos, type ProtosDefinition, type ProtosProblem } from './definition.ts';
import { type Faulty, type ProtoFault, under } from './fault.ts';
import { type Decoded, Reader, type WrittenBy } from './reader.ts';
import { compile, type MessageType } from './schema.ts';
import { Writer, type Written } from './writer.ts';

export type { ProtosProblem } from './definition.ts';
export type { Decoded, WrittenBy } from './reader.ts';

/** A body as JSON, and which kind of client wrote it. */
export type DecodedJson = { readonly json: Buffer; readonly writtenBy: WrittenBy };

/** Shared by all: a body is read or written synchronously. */
const reader = new Reader();
const writer = new Writer();

export class Protos {
  /** What the handshake sends: the output of Pomelo's parser. */
  readonly parsed: object;
  /** Errors. A field with one is neither read nor written. */
  readonly problems: readonly ProtosProblem[];
  /** What Pomelo silently ignores, and what not every client supports. */
  readonly warnings: readonly ProtosProblem[];
  readonly #types: ReadonlyMap<string, MessageType>;

  constructor(definition: ProtosDefinition) {
    this.parsed = definition.parsed;
    this.problems = definition.problems;
    this.warnings = definition.warnings;
    this.#types = compile(definition);
  }

  /** @param definition The JSON value of clientProtos.json or serverProtos.json; errors are in `problems`. */
  static of(definition: unknown): Protos {
    return new Protos(parseProtos(definition));
  }

  knows(route: string): boolean {
    return this.#types.has(route);
  }

  /** The decoded body, which shares no memory with it. An unknown route is a fault. */
  decode(route: string, body: Buffer): Decoded | Faulty {
    const type = this.#types.get(route);
    return type === undefined ? noProto(route) : reader.decode(type, body);
  }

  /** The same as JSON. What JSON cannot represent, NaN and the infinities, is a fault with its path. */
  decodeJson(route: string, body: Buffer): DecodedJson | Faulty {
    const decoded = this.decode(route, body);
    if ('fault' in decoded) return decoded;
    const { value, writtenBy, isPlain } = decoded;
    if (!isPlain) {
      const fault = keepFloats(value);
      if (fault !== null) return { fault };
    }
    return { json: Buffer.from(JSON.stringify(value)), writtenBy };
  }

  /** The body for a JSON object; see `encodeValue`. */
  encode(route: string, json: Uint8Array, strings: StringForm): Written | Faulty {
    const value = parseJson(json);
    if (value === undefined) return { fault: { path: '', message: 'not JSON' } };
    return this.encodeValue(route, value, strings);
  }

  /** The body for a value from `JSON.parse`; see `Writer.encode`. An unknown route is a fault. */
  encodeValue(route: string, value: unknown, strings: StringForm): Written | Faulty {
    const type = this.#types.get(route);
    return type === undefined ? noProto(route) : writer.encode(type, value, strings);
  }

  /** As much of a JSON object as fits the route's message; see `Writer.encodeLoosely`. Empty for an unknown route. */
  encodeLoosely(route: string, json: Uint8Array, strings: StringForm): Buffer {
    const type = this.#types.get(route);
    return type === undefined ? NOTHING : writer.encodeLoosely(type, parseJson(json), strings);
  }
}

/** Keeps each -0 in a value of `decode`; returns the fault for a number that JSON cannot hold. */
function keepFloats(value: Record<string, unknown> | unknown[]): ProtoFault | null {
  for (const [key, inner] of Object.entries(value)) {
    const name = Array.isArray(value) ? `[${key}]` : key;
    if (typeof inner === 'number') {
      if (!Number.isFinite(inner))
        return { path: name, message: `${inner}, which JSON cannot represent` };
      if (Object.is(inner, -0)) (value as Record<string, unknown>)[key] = rawNumber('-0');
    } else if (typeof inner === 'object' && inner !== null) {
      const fault = keepFloats(inner as Record<string, unknown>);
      if (fault !== null) return { path: under(name, fault.path), message: fault.message };
    }
  }
  return null;
}

/** undefined: not JSON. */
function parseJson(json: Uint8Array): unknown {
  try {
    return parseExact(asBuffer(json).toString());
  } catch {
    return undefined;
  }
}

function noProto(route: string): Faulty {
  return { fault: { path: '', message: `no proto for ${route}` } };
}

/**
 * The version by which clients cache both parsed forms; a missing file counts as `{}`. base64 of the MD5 of their JSON,
 * clientProtos first. [pomelo 2.2.7 components/protobuf.js]
 */
export function protosVersion(
  client: Pick<Protos, 'parsed'>,
  server: Pick<Protos, 'parsed'>,
): string {
  const text = JSON.stringify(client.parsed) + JSON.stringify(server.parsed);
  return createHash('md5').update(text).digest('base64');
}
