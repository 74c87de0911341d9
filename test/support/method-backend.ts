/**
 * A backend for tests of mode: method: any service on a real gRPC server, in this process, from the text of its
 * .proto. It says nothing of Pith. Handlers get the request as the library reads it; raw bytes are kept too.
 */
import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import {
  type Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';

import { WireReader, WireWriter } from '../../src/contract/protobuf-wire.ts';
import { parseProto } from '../../src/upstream/method/proto/parser.ts';
import { makeSchema, type Method, type Schema } from '../../src/upstream/method/schema.ts';
import { PATIENCE_MS } from './wait.ts';

type Fields = Record<string, unknown>;
type Unary = ServerUnaryCall<Buffer, Buffer>;
type Stream = ServerWritableStream<Buffer, Buffer>;

/** One call of a method. */
export class MethodAsked {
  readonly method: string;
  readonly bytes: Buffer;
  readonly request: Fields;
  readonly metadata: Metadata;
  /** Milliseconds left of grpc-timeout when it came. */
  readonly deadlineMs: number;
  cancelled = false;
  readonly call: Unary | Stream;
  readonly #output: DescMessage;
  readonly #done: sendUnaryData<Buffer> | null;

  constructor(method: Method, call: Unary | Stream, done: sendUnaryData<Buffer> | null) {
    this.method = method.path;
    this.bytes = call.request;
    this.request = fromBinary(method.input, call.request) as unknown as Fields;
    this.metadata = call.metadata;
    this.deadlineMs = Number(call.getDeadline()) - Date.now();
    this.call = call;
    this.#output = method.output;
    this.#done = done;
  }

  /** The first value of a name; '' for none. */
  meta(name: string): string {
    return String(this.metadata.get(name)[0] ?? '');
  }

  answer(fields: Fields = {}, trailer?: Metadata): void {
    this.answerBytes(this.encode(fields), trailer);
  }

  answerBytes(bytes: Buffer, trailer?: Metadata): void {
    this.#done!(null, bytes, trailer);
  }

  fail(code: number, details: string, metadata?: Metadata): void {
    if (this.#done !== null) this.#done({ code, details, ...(metadata && { metadata }) });
    else (this.call as Stream).emit('error', { code, details, ...(metadata && { metadata }) });
  }

  encode(fields: Fields): Buffer {
    return Buffer.from(toBinary(this.#output, create(this.#output, fields) as Message));
  }

  /** Of a streaming method. */
  get stream(): Stream {
    return this.call as Stream;
  }
}

export type MethodBackendOptions = {
  readonly proto: string;
  /** In full, as `lobby.v1.Rooms`. */
  readonly service: string;
  readonly handler: (asked: MethodAsked) => void;
  /** Which reflection it has. Default: none. */
  readonly reflection?: 'v1' | 'v1alpha';
  /** host:port; default: a free one. */
  readonly address?: string;
  /** Default: plain text. */
  readonly credentials?: ServerCredentials;
};

export class MethodBackend implements AsyncDisposable {
  readonly asked: MethodAsked[] = [];
  readonly schema: Schema;
  /** Symbols and files that reflection was asked for. */
  readonly reflected: string[] = [];
  handler: (asked: MethodAsked) => void;
  address = '';
  readonly #server = new Server();
  readonly #watchers = new Set<() => void>();

  private constructor({ proto, service, handler, reflection }: MethodBackendOptions) {
    this.handler = handler;
    const file = parseProto('test.proto', proto);
    const schema = makeSchema({ files: [{ proto: file, from: 'test' }], problems: [] }, [service]);
    if ('problems' in schema) throw new Error(schema.problems.join('\n'));
    this.schema = schema;
    for (const method of schema.methods.values()) this.#serve(method);
    if (reflection !== undefined) this.#reflect(reflection);
  }

  static async start(options: MethodBackendOptions): Promise<MethodBackend> {
    const backend = new MethodBackend(options);
    const { address = '127.0.0.1:0', credentials = ServerCredentials.createInsecure() } = options;
    const port = await new Promise<number>((resolve, reject) => {
      backend.#server.bindAsync(address, credentials, (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    backend.address = `127.0.0.1:${port}`;
    return backend;
  }

  /** The `n`th call (the first is 0), as soon as it is there. */
  nth(n: number): Promise<MethodAsked> {
    return this.wait(() => this.asked[n], `call ${n}`);
  }

  /** Waits until `look` finds something; looks again whenever something comes. */
  wait<T>(look: () => T | undefined, what: string, ms = PATIENCE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(check);
        reject(new Error(`waited ${ms} ms for ${what}`));
      }, ms);
      const check = (): void => {
        const found = look();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#watchers.delete(check);
        resolve(found);
      };
      this.#watchers.add(check);
      check();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await new Promise<unknown>((resolve) => {
      this.#server.tryShutdown(resolve);
    });
  }

  #serve(method: Method): void {
    const take = (call: Unary | Stream, done: sendUnaryData<Buffer> | null): void => {
      const asked = new MethodAsked(method, call, done);
      call.on('cancelled', () => {
        asked.cancelled = true;
        this.#look();
      });
      this.asked.push(asked);
      this.handler(asked);
      this.#look();
    };
    const definition = definitionOf(method.path, false, method.kind === 'server_streaming');
    const handler =
      method.kind === 'unary'
        ? (call: Unary, done: sendUnaryData<Buffer>): void => {
            take(call, done);
          }
        : (call: Stream): void => {
            take(call, null);
          };
    this.#server.addService({ it: definition }, { it: handler } as never);
  }

  #reflect(version: string): void {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const handler = (stream: ServerDuplexStream<Buffer, Buffer>): void => {
      stream.on('data', (bytes: Buffer) => {
        const reader = new WireReader(bytes);
        reader.next();
        const name = reader.string();
        this.reflected.push(name);
        stream.write(this.#described(name));
      });
      stream.on('end', () => {
        stream.end();
      });
    };
    this.#server.addService({ it: definitionOf(path, true, true) }, { it: handler } as never);
  }

  /** A file_descriptor_response, or an error_response. */
  #described(name: string): Buffer {
    const { registry } = this.schema;
    const file = registry.getFile(name) ?? registry.getService(name)?.file;
    const inner = new WireWriter();
    const outer = new WireWriter();
    if (file === undefined) {
      inner.uint(1, status.NOT_FOUND);
      inner.text(2, `no ${name}`);
      outer.bytes(7, inner.take());
    } else {
      inner.bytes(1, toBinary(FileDescriptorProtoSchema, file.proto));
      outer.bytes(4, inner.take());
    }
    return outer.take();
  }

  #look(): void {
    for (const check of this.#watchers) check();
  }
}

const raw = (bytes: Buffer): Buffer => bytes;

function definitionOf(path: string, requestStream: boolean, responseStream: boolean) {
  const codec = { requestSerialize: raw, requestDeserialize: raw };
  return {
    path,
    requestStream,
    responseStream,
    ...codec,
    responseSerialize: raw,
    responseDeserialize: raw,
  };
}
