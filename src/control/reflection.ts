/**
 * gRPC server reflection, v1 and v1alpha, from the descriptor set that `make gen` writes: comments and imports
 * come along, so `grpcurl describe` shows what the .proto files say.
 */
import { status } from '@grpc/grpc-js';

import { WireReader } from '../contract/wire.ts';

type File = { readonly name: string; readonly bytes: Buffer; readonly imports: readonly string[] };

/** The files of a FileDescriptorSet, by name and by every symbol that they define. */
export class Descriptors {
  readonly #files = new Map<string, File>();
  readonly #symbols = new Map<string, File>();

  /** @param set The bytes of a google.protobuf.FileDescriptorSet. */
  constructor(set: Buffer) {
    const reader = new WireReader(set);
    while (reader.next()) {
      if (reader.field === 1) this.#add(reader.bytes());
      else reader.skip();
    }
  }

  byName(name: string): File | undefined {
    return this.#files.get(name);
  }

  /** A service, method, message, field, enum or enum value, fully qualified. */
  bySymbol(symbol: string): File | undefined {
    return this.#symbols.get(symbol.replace(/^\./, ''));
  }

  /** The file and all that it imports, so that a client can link it without asking again. */
  closure(file: File): Buffer[] {
    const found = new Map<string, File>([[file.name, file]]);
    for (const { imports } of found.values()) {
      for (const name of imports) {
        const imported = this.#files.get(name);
        if (imported !== undefined) found.set(name, imported);
      }
    }
    return [...found.values()].map(({ bytes }) => bytes);
  }

  #add(bytes: Buffer): void {
    let name = '';
    let scope = '';
    const imports: string[] = [];
    const symbols: string[] = [];
    const reader = new WireReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) name = reader.string();
      else if (reader.field === 2) scope = `${reader.string()}.`;
      else if (reader.field === 3) imports.push(reader.string());
      else if (reader.field === 4) symbolsOf(reader.message(), scope, MESSAGE, symbols);
      else if (reader.field === 5) symbolsOf(reader.message(), scope, LEAVES, symbols);
      else if (reader.field === 6) symbolsOf(reader.message(), scope, LEAVES, symbols);
      else reader.skip();
    }
    const file = { name, bytes, imports };
    this.#files.set(name, file);
    for (const symbol of symbols) this.#symbols.set(symbol, file);
  }
}

/** Which fields of a descriptor hold named things, and what those hold. [descriptor.proto] */
type Shape = { readonly [field: number]: Shape };
const NAME_ONLY: Shape = {};
/** Enum values and service methods. */
const LEAVES: Shape = { 2: NAME_ONLY };
/** Fields, nested messages, nested enums. */
const MESSAGE: Shape = { 2: NAME_ONLY, get 3() { return MESSAGE; }, 4: LEAVES }; // prettier-ignore

function symbolsOf(reader: WireReader, scope: string, shape: Shape, into: string[]): void {
  let name = '';
  const inner: { readonly reader: WireReader; readonly shape: Shape }[] = [];
  while (reader.next()) {
    const of = shape[reader.field];
    if (reader.field === 1) name = scope + reader.string();
    else if (of !== undefined) inner.push({ reader: reader.message(), shape: of });
    else reader.skip();
  }
  into.push(name);
  for (const { reader: part, shape: of } of inner) symbolsOf(part, `${name}.`, of, into);
}

/** A request of either version, as proto-loader gives it. */
export type ReflectionRequest = {
  readonly host: string;
  readonly messageRequest?: string;
  readonly fileByFilename?: string;
  readonly fileContainingSymbol?: string;
};

/** Answers one reflection request; `services` are those that the server has. */
export function answerReflection(
  request: ReflectionRequest,
  descriptors: Descriptors,
  services: readonly string[],
): object {
  const base = { validHost: request.host, originalRequest: request };
  switch (request.messageRequest) {
    case 'listServices':
      return { ...base, listServicesResponse: { service: services.map((name) => ({ name })) } };
    case 'fileByFilename':
      return {
        ...base,
        ...fileResponse(
          descriptors,
          descriptors.byName(request.fileByFilename ?? ''),
          request.fileByFilename,
        ),
      };
    case 'fileContainingSymbol': {
      const symbol = request.fileContainingSymbol;
      return { ...base, ...fileResponse(descriptors, descriptors.bySymbol(symbol ?? ''), symbol) };
    }
    default:
      return {
        ...base,
        errorResponse: {
          errorCode: status.NOT_FOUND,
          errorMessage: 'there are no extensions here',
        },
      };
  }
}

function fileResponse(
  descriptors: Descriptors,
  file: File | undefined,
  asked: string | undefined,
): object {
  if (file === undefined)
    return {
      errorResponse: { errorCode: status.NOT_FOUND, errorMessage: `not found: ${asked ?? ''}` },
    };
  return { fileDescriptorResponse: { fileDescriptorProto: descriptors.closure(file) } };
}
