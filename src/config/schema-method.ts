/** mode: method of a gRPC backend: how JSON becomes its messages and back, and which schema is taken. */
import { z } from 'zod';
import { flag, text } from './fields.ts';

/** Keys of a gRPC backend that only mode: method has, besides services, descriptors, protos and reflection. */
export const methodKeys = {
  json: z
    .strictObject({
      always_print_primitive_fields: flag(
        false,
        'true: answers have fields that are 0, "", false, [] or {} too; else they are omitted.',
      ),
      always_print_enums_as_ints: flag(false, 'true: enums as numbers; else by name.'),
      preserve_proto_field_names: flag(false, 'true: room_id; else roomId. Both are read.'),
      ignore_unknown_fields: flag(
        false,
        'true: fields that the schema lacks are ignored; else they are a 400 that names them.',
      ),
      print_int64_as_number: flag(
        false,
        'true: 64-bit integers as numbers where that is exact; else as strings. Both are read.',
      ),
    })
    .prefault({})
    .describe('How messages are JSON in mode: method.'),
  reflection_digest: text(
    '',
    'Accept only this schema from reflection; the log shows the digest: sha256:…; empty: any.',
    (value) =>
      /^sha256:[0-9a-f]{64}$/.test(value) ? undefined : 'expected sha256: and 64 hex digits',
  ),
};
