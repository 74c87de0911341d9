/**
 * Asks a backend to describe its own services: grpc.reflection.v1, and v1alpha where that is all there is.
 * Only the listed services are asked for, and the files that these need.
 */
import { type Metadata, status } from '@grpc/grpc-js';
import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

import { WireReader, WireWriter } from '../../contract/protobuf-wire.ts';
import { errorText } from '../../errors.ts';
import { bundledFile } from './proto/bundled.ts';
import { SCHEMA_BYTES_MAX, SCHEMA_FILES_MAX } from './descriptors.ts';
import type { CallError, GrpcConnection, MessageStream } from '../grpc-client/grpc-connection.ts';

const V1 = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const V1_ALPHA = '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo';

/** What is asked: a symbol's file, or a file by its name. [grpc/reflection/v1/reflection.proto: the field numbers] */
type Question = { readonly by: 3 | 4; readonly name: string };
const BY_FILE = 3;
const BY_SYMBOL = 4;

type Answer = { readonly files: readonly Buffer[]; readonly error: string };

/**
 * The files of these services. A file that the backend cannot give is left out: whether it is missed shows later.
 *
 * @param metadata Sent with the call: what is between may choose the backend by it, or let nobody in without.
 * @param deadline Milliseconds since the epoch, for all of it.
 * @throws {Error} It has no reflection, or none of the services, or did not answer.
 */
export async function reflect(
  connection: GrpcConnection,
  services: readonly string[],
  metadata: Metadata,
  deadline: number,
): Promise<FileDescriptorProto[]> {
  for (const path of [V1, V1_ALPHA]) {
    const talk = new Talk(connection.bidiStream(path, metadata, deadline));
    try {
      return await collect(talk, services);
    } catch (error) {
      const isUnknown = (error as Partial<CallError>).code === status.UNIMPLEMENTED;
      if (isUnknown && path === V1) continue;
      throw isUnknown ? new Error(NO_REFLECTION, { cause: error }) : error;
    } finally {
      talk.end();
    }
  }
  throw new Error(NO_REFLECTION);
}

const NO_REFLECTION =
  'the backend has no server reflection: register it, or use descriptors or protos';

async function collect(talk: Talk, services: readonly string[]): Promise<FileDescriptorProto[]> {
  const files = new Map<string, FileDescriptorProto>();
  const asked = new Set<string>();
  const open: Question[] = services.map((name) => ({ by: BY_SYMBOL, name }));
  let bytesLeft = SCHEMA_BYTES_MAX;
  for (let question = open.shift(); question !== undefined; question = open.shift()) {
    const { by, name } = question;
    if (by === BY_FILE && (files.has(name) || asked.has(name))) continue;
    asked.add(name);
    const answer = await talk.ask(question);
    if (answer.error !== '' && by === BY_SYMBOL)
      throw new Error(`reflection does not know service ${name}: ${answer.error}`);
    for (const bytes of answer.files) {
      bytesLeft -= bytes.length;
      const file = fromBinary(FileDescriptorProtoSchema, bytes);
      files.set(file.name, file);
      for (const imported of file.dependency)
        if (bundledFile(imported) === undefined) open.push({ by: BY_FILE, name: imported });
    }
    if (bytesLeft < 0 || asked.size + files.size > SCHEMA_FILES_MAX)
      throw new Error(
        `reflection gave more than ${SCHEMA_BYTES_MAX} bytes or ${SCHEMA_FILES_MAX} files`,
      );
  }
  return [...files.values()];
}

/** One stream: a question, then its answer. */
class Talk {
  readonly #stream: MessageStream;
  #resolve: (answer: Answer) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #ended: Error | null = null;

  constructor(stream: MessageStream) {
    this.#stream = stream;
    stream.on('data', (bytes) => {
      try {
        this.#resolve(readAnswer(new WireReader(bytes)));
      } catch (error) {
        this.#fail(new Error(`the reflection answer cannot be read: ${errorText(error)}`));
      }
    });
    stream.on('error', (error) => {
      this.#fail(error);
    });
    stream.on('end', () => {
      this.#fail(new Error('reflection ended before it answered'));
    });
  }

  ask({ by, name }: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#ended !== null) reject(this.#ended);
      const writer = new WireWriter();
      writer.text(by, name);
      this.#stream.write(writer.take());
    });
  }

  end(): void {
    this.#stream.cancel();
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    this.#reject(this.#ended);
  }
}

function readAnswer(reader: WireReader): Answer {
  const files: Buffer[] = [];
  let error = '';
  while (reader.next()) {
    if (reader.field === 4) {
      const list = reader.message();
      while (list.next()) {
        if (list.field === 1) files.push(list.bytes());
        else list.skip();
      }
    } else if (reader.field === 7) {
      const failure = reader.message();
      error = 'unknown';
      while (failure.next()) {
        if (failure.field === 2) error = failure.string();
        else failure.skip();
      }
    } else {
      reader.skip();
    }
  }
  return { files, error };
}
