/** The comments of the .proto files. [descriptor.proto, SourceCodeInfo.Location] */
import type {
  DescEnum,
  DescEnumValue,
  DescField,
  DescFile,
  DescMessage,
  DescMethod,
  DescOneof,
  DescService,
} from '@bufbuild/protobuf';

export type Described =
  | DescService
  | DescMethod
  | DescMessage
  | DescField
  | DescOneof
  | DescEnum
  | DescEnumValue;

/** Numbers of fields in descriptor.proto. */
const FILE = { message: 4, enum: 5, service: 6 } as const;
const MESSAGE = { field: 2, message: 3, enum: 4, oneof: 8 } as const;
const METHOD = 2;
const ENUM_VALUE = 2;

/** What stands above it, and after it on its line, without line breaks; '': nothing. */
export function commentOf(described: Described): string {
  const location = locationOf(fileOf(described), pathOf(described));
  return plain([location?.leadingComments, location?.trailingComments].join(' '));
}

/** What stands above it with an empty line between: paragraphs about what follows. */
export function introductionTo(described: Described): string[] {
  const location = locationOf(fileOf(described), pathOf(described));
  return (location?.leadingDetachedComments ?? []).flatMap((text) =>
    text.split(/\n\s*\n/).map(plain),
  );
}

function plain(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function locationOf({ proto }: DescFile, path: readonly number[]) {
  const key = path.join('.');
  return proto.sourceCodeInfo?.location.find((one) => one.path.join('.') === key);
}

function fileOf(described: Described): DescFile {
  return 'file' in described ? described.file : described.parent!.file;
}

function pathOf(described: Described): number[] {
  switch (described.kind) {
    case 'service':
      return [FILE.service, described.file.proto.service.indexOf(described.proto)];
    case 'rpc': {
      const { parent, proto } = described;
      return [...pathOf(parent), METHOD, parent.proto.method.indexOf(proto)];
    }
    case 'message': {
      const { parent, proto, file } = described;
      if (parent === undefined) return [FILE.message, file.proto.messageType.indexOf(proto)];
      return [...pathOf(parent), MESSAGE.message, parent.proto.nestedType.indexOf(proto)];
    }
    case 'field': {
      const { parent, proto } = described;
      return [...pathOf(parent), MESSAGE.field, parent.proto.field.indexOf(proto)];
    }
    case 'oneof': {
      const { parent, proto } = described;
      return [...pathOf(parent), MESSAGE.oneof, parent.proto.oneofDecl.indexOf(proto)];
    }
    case 'enum': {
      const { parent, proto, file } = described;
      if (parent === undefined) return [FILE.enum, file.proto.enumType.indexOf(proto)];
      return [...pathOf(parent), MESSAGE.enum, parent.proto.enumType.indexOf(proto)];
    }
    case 'enum_value': {
      const { parent, proto } = described;
      return [...pathOf(parent), ENUM_VALUE, parent.proto.value.indexOf(proto)];
    }
  }
}
