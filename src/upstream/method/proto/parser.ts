/**
 * Reads one .proto file to a descriptor whose type names are as they were written: linker.ts finds what they
 * mean. proto2, proto3 and editions. [protobuf.dev/reference/protobuf, the three "Language Specification"; why this is
 * written by hand: README.md]
 */
import { create } from '@bufbuild/protobuf';
import {
  Edition,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileOptionsSchema,
  MethodDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel,
  type ServiceDescriptorProto,
  ServiceDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

import { MessageParser } from './messages.ts';
import { featuresOf, type Options, readOptionLine, readTypeName } from './options.ts';
import { Tokens } from './tokens.ts';

/** @throws {ProtoError} */
export function parseProto(file: string, source: string): FileDescriptorProto {
  return new Parser(file, source).parse();
}

class Parser {
  readonly #tokens: Tokens;
  readonly #file: FileDescriptorProto;
  #types: MessageParser;
  /** Something stands before what is read. */
  #hasBegun = false;

  constructor(name: string, source: string) {
    this.#tokens = new Tokens(name, source);
    this.#file = create(FileDescriptorProtoSchema, { name, syntax: 'proto2' });
    this.#types = new MessageParser(this.#tokens, 'proto2');
  }

  parse(): FileDescriptorProto {
    const file = this.#file;
    const options: Options = new Map();
    while (this.#tokens.next.kind !== 'end') {
      this.#statement(options);
      this.#hasBegun = true;
    }
    const features = featuresOf(options);
    if (features !== undefined) file.options = create(FileOptionsSchema, { features });
    return file;
  }

  #statement(options: Options): void {
    const tokens = this.#tokens;
    if (tokens.skip(';')) return;
    const file = this.#file;
    const { next } = tokens;
    const word = tokens.name('syntax, import, package, option, message, enum, service or extend');
    switch (word) {
      case 'syntax':
      case 'edition':
        if (this.#hasBegun) throw tokens.error(`${word} is not the first statement`, next);
        this.#language(word);
        return;
      case 'import':
        this.#import();
        return;
      case 'package':
        file.package = readTypeName(tokens);
        tokens.expect(';');
        return;
      case 'option':
        readOptionLine(tokens, options);
        return;
      // [edition 2024: who may use a type from elsewhere]
      case 'export':
      case 'local':
        return;
      case 'message':
        file.messageType.push(this.#types.message());
        return;
      case 'enum':
        file.enumType.push(this.#types.enum());
        return;
      case 'service':
        file.service.push(this.#service());
        return;
      case 'extend':
        this.#types.extend(file.extension, file.messageType);
        return;
      default:
        throw tokens.error(`"${word}" does not belong here`, next);
    }
  }

  #language(word: 'syntax' | 'edition'): void {
    const tokens = this.#tokens;
    tokens.expect('=');
    const { next } = tokens;
    const text = tokens.string(`the ${word} in quotes`);
    if (word === 'syntax') {
      if (text !== 'proto2' && text !== 'proto3')
        throw tokens.error(`unknown syntax "${text}"; proto2 and proto3 are known`, next);
      this.#file.syntax = text;
    } else {
      const edition = (Edition as unknown as Record<string, number>)[`EDITION_${text}`];
      if (edition === undefined || !text.startsWith('20'))
        throw tokens.error(`unknown edition "${text}"`, next);
      this.#file.syntax = 'editions';
      this.#file.edition = edition;
    }
    tokens.expect(';');
    this.#types = new MessageParser(tokens, this.#file.syntax);
  }

  #import(): void {
    const tokens = this.#tokens;
    const file = this.#file;
    const isPublic = tokens.skip('public');
    if (!isPublic) tokens.skip('weak');
    // [edition 2024: only for options, which are read over]
    const onlyOptions = !isPublic && tokens.skip('option');
    const name = tokens.string('the name of a file in quotes');
    tokens.expect(';');
    if (onlyOptions || file.dependency.includes(name)) return;
    if (isPublic) file.publicDependency.push(file.dependency.length);
    file.dependency.push(name);
  }

  #service(): ServiceDescriptorProto {
    const tokens = this.#tokens;
    const service = create(ServiceDescriptorProtoSchema, { name: tokens.name('a name') });
    tokens.expect('{');
    while (!tokens.skip('}')) {
      if (tokens.skip(';')) continue;
      if (tokens.skip('option')) {
        readOptionLine(tokens, new Map());
        continue;
      }
      tokens.expect('rpc');
      const name = tokens.name("the method's name");
      const input = this.#methodType();
      tokens.expect('returns');
      const output = this.#methodType();
      const idempotencyLevel = this.#idempotencyLevel();
      service.method.push(
        create(MethodDescriptorProtoSchema, {
          name,
          inputType: input.type,
          clientStreaming: input.isStream,
          outputType: output.type,
          serverStreaming: output.isStream,
          ...(idempotencyLevel !== undefined && { options: { idempotencyLevel } }),
        }),
      );
    }
    return service;
  }

  /** Reads what is behind a method: options, of which this one matters here. */
  #idempotencyLevel(): MethodOptions_IdempotencyLevel | undefined {
    const tokens = this.#tokens;
    const options: Options = new Map();
    if (tokens.skip('{')) {
      while (!tokens.skip('}')) {
        if (tokens.skip(';')) continue;
        tokens.expect('option');
        readOptionLine(tokens, options);
      }
    } else {
      tokens.expect(';');
    }
    const level = options.get('idempotency_level') ?? '';
    if (!Object.hasOwn(MethodOptions_IdempotencyLevel, level)) return undefined;
    const number = MethodOptions_IdempotencyLevel[level as 'IDEMPOTENT'];
    return typeof number === 'number' ? number : undefined;
  }

  #methodType(): { type: string; isStream: boolean } {
    const tokens = this.#tokens;
    tokens.expect('(');
    const word = tokens.skip('stream');
    // A message may be called `stream`, too.
    const isStream = word && !tokens.is(')');
    const type = readTypeName(tokens, word && !isStream ? 'stream' : '');
    tokens.expect(')');
    return { type, isStream };
  }
}
