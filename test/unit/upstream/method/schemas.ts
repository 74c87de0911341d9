/** Schemas and options for the tests of mode: method. */
import { parseProto } from '../../../../src/upstream/method/proto/parser.ts';
import { makeSchema, type Schema } from '../../../../src/upstream/method/schema.ts';
import type { JsonOptions } from '../../../../src/upstream/method/transcode.ts';

/** The mapping without options. */
export const AS_IT_IS: JsonOptions = {
  always_print_primitive_fields: false,
  always_print_enums_as_ints: false,
  preserve_proto_field_names: false,
  ignore_unknown_fields: false,
  print_int64_as_number: false,
};

/** What files, by name, are made to; the problems where they are not. */
export function made(
  files: Readonly<Record<string, string>>,
  services: readonly string[],
): Schema | readonly string[] {
  const protos = Object.entries(files).map(([name, text]) => ({
    proto: parseProto(name, text),
    from: '/protos',
  }));
  const schema = makeSchema({ files: protos, problems: [] }, services);
  return 'problems' in schema ? schema.problems : schema;
}

export function schemaOf(text: string, service = 't.S'): Schema {
  const schema = made({ 'test.proto': text }, [service]);
  if (!('methods' in schema)) throw new Error(schema.join('\n'));
  return schema;
}
