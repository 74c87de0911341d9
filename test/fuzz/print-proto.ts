/** Writes a descriptor as a .proto file, so that what was read can be read again. Only what the gateway's parser keeps. */
import {
  type DescriptorProto,
  Edition,
  type EnumDescriptorProto,
  FeatureSet_EnumType,
  FeatureSet_FieldPresence,
  FeatureSet_MessageEncoding,
  FeatureSet_RepeatedFieldEncoding,
  FeatureSet_Utf8Validation,
  type FeatureSet,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FileDescriptorProto,
  MethodOptions_IdempotencyLevel,
} from '@bufbuild/protobuf/wkt';

export function printProto(file: FileDescriptorProto): string {
  const lines = [
    file.syntax === 'editions'
      ? `edition = "${Edition[file.edition]!.replace('EDITION_', '')}";`
      : `syntax = "${file.syntax}";`,
    ...file.dependency.map(
      (name, at) => `import ${file.publicDependency.includes(at) ? 'public ' : ''}${quoted(name)};`,
    ),
    ...(file.package === '' ? [] : [`package ${file.package};`]),
    ...features(file.options?.features).map((one) => `option ${one};`),
    ...file.enumType.map(enumOf),
  ];
  const groups = new Set<DescriptorProto>();
  const extensions = extensionsOf(file.extension, file.messageType, groups);
  lines.push(...file.messageType.filter((one) => !groups.has(one)).map(messageOf), ...extensions);
  for (const { name, method } of file.service) {
    const methods = method.map((one) => {
      const level = one.options?.idempotencyLevel;
      const options =
        level === undefined
          ? ';'
          : ` { option idempotency_level = ${MethodOptions_IdempotencyLevel[level]}; }`;
      const type = (stream: boolean, of: string): string => `(${stream ? 'stream ' : ''}${of})`;
      return `rpc ${one.name}${type(one.clientStreaming, one.inputType)} returns ${type(one.serverStreaming, one.outputType)}${options}`;
    });
    lines.push(`service ${name} { ${methods.join(' ')} }`);
  }
  return lines.join('\n');
}

function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}

const FEATURES: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  fieldPresence: FeatureSet_FieldPresence,
  enumType: FeatureSet_EnumType,
  repeatedFieldEncoding: FeatureSet_RepeatedFieldEncoding,
  utf8Validation: FeatureSet_Utf8Validation,
  messageEncoding: FeatureSet_MessageEncoding,
};

function features(set: FeatureSet | undefined): string[] {
  if (set === undefined) return [];
  const values = set as unknown as Record<string, number>;
  return Object.entries(FEATURES)
    .filter(([name]) => values[name] !== 0)
    .map(
      ([name, words]) =>
        `features.${name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)} = ${words[values[name]!]}`,
    );
}

function enumOf({ name, value, options }: EnumDescriptorProto): string {
  const values = value.map((one) => `${one.name} = ${one.number};`);
  return `enum ${name} { ${[...features(options?.features).map((one) => `option ${one};`), ...values].join(' ')} }`;
}

function messageOf(message: DescriptorProto): string {
  const { name, field, nestedType, enumType, oneofDecl, extension, options } = message;
  const used = new Set<DescriptorProto>();
  const lines = features(options?.features).map((one) => `option ${one};`);
  const done = new Set<number>();
  for (const one of field) {
    const index = one.oneofIndex;
    const isReal = !one.proto3Optional && one.oneofIndex !== undefined && isIn(one);
    if (!isReal) lines.push(fieldOf(one, nestedType, used));
    else if (!done.has(index!)) {
      done.add(index!);
      const inside = field.filter(
        (other) => !other.proto3Optional && isIn(other) && other.oneofIndex === index,
      );
      lines.push(
        `oneof ${oneofDecl[index!]!.name} { ${inside.map((other) => fieldOf(other, nestedType, used)).join(' ')} }`,
      );
    }
  }
  const extensions = extensionsOf(extension, nestedType, used);
  lines.push(
    ...nestedType.filter((one) => !used.has(one)).map(messageOf),
    ...enumType.map(enumOf),
    ...extensions,
  );
  return `message ${name} { ${lines.join(' ')} }`;
}

/** Protobuf-es gives 0 for no oneof; presence is what tells. */
function isIn(field: FieldDescriptorProto): boolean {
  return Object.hasOwn(field, 'oneofIndex');
}

function extensionsOf(
  fields: readonly FieldDescriptorProto[],
  nested: readonly DescriptorProto[],
  used: Set<DescriptorProto>,
): string[] {
  return fields.map((field) => `extend ${field.extendee} { ${fieldOf(field, nested, used)} }`);
}

function fieldOf(
  field: FieldDescriptorProto,
  nested: readonly DescriptorProto[],
  used: Set<DescriptorProto>,
): string {
  const { name, number, jsonName, options, typeName } = field;
  const words = [`json_name = ${quoted(jsonName)}`, ...features(options?.features)];
  if (options !== undefined && Object.hasOwn(options, 'packed'))
    words.push(`packed = ${options.packed}`);
  const tail = ` = ${number} [${words.join(', ')}]`;
  const entry = nested.find(
    (one) => one.name === typeName && one.options?.mapEntry === true && !used.has(one),
  );
  if (field.label === Label.REPEATED && entry !== undefined) {
    used.add(entry);
    const [key, value] = entry.field;
    return `map<${typeOf(key!)}, ${typeOf(value!)}> ${name}${tail};`;
  }
  const label = labelOf(field);
  if (field.type === Type.GROUP) {
    const group = nested.find((one) => one.name === typeName && !used.has(one))!;
    used.add(group);
    return `${label}group ${group.name}${tail} ${messageOf(group).replace(/^message \w+ /, '')}`;
  }
  return `${label}${typeOf(field)} ${name}${tail};`;
}

function labelOf({ label, proto3Optional }: FieldDescriptorProto): string {
  if (label === Label.REPEATED) return 'repeated ';
  if (label === Label.REQUIRED) return 'required ';
  return proto3Optional ? 'optional ' : '';
}

function typeOf({ type, typeName }: FieldDescriptorProto): string {
  return typeName === '' ? Type[type]!.toLowerCase() : typeName;
}
