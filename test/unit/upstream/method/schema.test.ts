import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, type FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';

import { parseProto } from '../../../../src/upstream/method/proto/parser.ts';
import { makeSchema, type Schema } from '../../../../src/upstream/method/schema.ts';
import { made, schemaOf } from './schemas.ts';

const HEAD = 'syntax = "proto3"; package t;';
const ROOMS = `${HEAD} message M {} service Rooms { rpc Join(M) returns (M); }`;

/** As protoc would give them: linked. */
function compiled(
  files: Readonly<Record<string, string>>,
  services: string[],
): FileDescriptorProto[] {
  const schema = made(files, services) as Schema;
  return [...schema.registry.files].map((file) =>
    fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, file.proto)),
  );
}

describe('a schema', () => {
  test('has the methods of the listed services and no others', () => {
    const schema = made({ 'a.proto': `${ROOMS} service Secret { rpc Dump(M) returns (M); }` }, [
      't.Rooms',
    ]) as Schema;
    expect([...schema.methods.keys()]).toEqual(['/t.Rooms/Join']);
  });

  test('knows which methods may be called again, by their idempotency_level', () => {
    const level = (value: string): string => `{ option idempotency_level = ${value}; }`;
    const service = `${HEAD} message M {} service Rooms {
      rpc Join(M) returns (M);
      rpc Look(M) returns (M) ${level('NO_SIDE_EFFECTS')}
      rpc Set(M) returns (M) ${level('IDEMPOTENT')}
      rpc Watch(M) returns (stream M) ${level('NO_SIDE_EFFECTS')} }`;
    const { methods } = made({ 'a.proto': service }, ['t.Rooms']) as Schema;
    const safe = [...methods.values()].filter(({ idempotent }) => idempotent);
    expect(safe.map(({ path }) => path)).toEqual(['/t.Rooms/Look', '/t.Rooms/Set']);
  });

  test('knows messages that nothing but an Any can hold', () => {
    const schema = made({ 'a.proto': ROOMS, 'b.proto': `${HEAD} message Extra { int32 x = 1; }` }, [
      't.Rooms',
    ]) as Schema;
    expect(schema.registry.getMessage('t.Extra')).toBeDefined();
  });

  test('leaves out what it does not need and cannot link', () => {
    const schema = made(
      {
        'a.proto': ROOMS,
        'b.proto': `${HEAD} import "gone.proto"; message Extra { gone.Type x = 1; }`,
        'c.proto': `${HEAD} import "b.proto"; message Other { Extra x = 1; }`,
        'd.proto': `${HEAD} message M {}`,
        'e.proto': `${HEAD} message Fine {}`,
      },
      ['t.Rooms'],
    ) as Schema;
    expect(schema.registry.getMessage('t.Extra')).toBeUndefined();
    expect(schema.registry.getMessage('t.Other')).toBeUndefined();
    expect(schema.registry.getMessage('t.Fine')).toBeDefined();
  });

  test('has the well-known files without being given them', () => {
    const schema =
      schemaOf(`${HEAD} import "google/protobuf/timestamp.proto"; import "google/rpc/error_details.proto";
      message M { google.protobuf.Timestamp at = 1; google.rpc.BadRequest.FieldViolation bad = 2; }
      service S { rpc Echo(M) returns (M); }`);
    expect(schema.registry.getMessage('google.rpc.RetryInfo')).toBeDefined();
  });

  test('needs no file that only options come from', () => {
    const schema =
      schemaOf(`${HEAD} import "google/api/annotations.proto"; import public "validate/validate.proto";
      message M { string a = 1 [(validate.rules).string = { min_len: 1, in: ["x", "y"] }]; }
      service S { rpc Echo(M) returns (M) { option (google.api.http) = { post: "/v1", additional_bindings: [{ get: "/x" }, { get: "/y" }] }; } }`);
    expect(schema.methods.size).toBe(1);
  });

  test('has the same digest for the same files, and another for others', () => {
    const digest = (text: string) => (made({ 'a.proto': text }, ['t.Rooms']) as Schema).digest;
    expect(digest(ROOMS)).toBe(digest(`${ROOMS} // a comment`));
    expect(digest(ROOMS)).not.toBe(
      digest(ROOMS.replace('message M {}', 'message M { int32 a = 1; }')),
    );
    const [compiledFile] = compiled({ 'a.proto': ROOMS }, ['t.Rooms']);
    const again = makeSchema({ files: [{ proto: compiledFile!, from: 'x' }], problems: [] }, [
      't.Rooms',
    ]);
    expect((again as Schema).digest).toBe(digest(ROOMS));
  });

  test('fills in the names in JSON, which some servers leave out of what they reflect', () => {
    const [file] = compiled({ 'a.proto': ROOMS.replace('{}', '{ int32 room_id = 1; }') }, [
      't.Rooms',
    ]);
    file!.messageType[0]!.field[0]!.jsonName = '';
    const schema = makeSchema({ files: [{ proto: file!, from: 'x' }], problems: [] }, [
      't.Rooms',
    ]) as Schema;
    expect(schema.registry.getMessage('t.M')!.fields[0]!.jsonName).toBe('roomId');
  });
});

describe('what is wrong is said', () => {
  test.each([
    [
      'a service that is not there',
      { 'a.proto': ROOMS },
      ['t.Roms'],
      ['no service t.Roms; did you mean "t.Rooms"?'],
    ],
    [
      'with what there is',
      { 'a.proto': ROOMS },
      ['x.y.Z'],
      ['no service x.y.Z; there are t.Rooms'],
    ],
    ['nothing at all', {}, ['t.Rooms'], ['no service t.Rooms; the schema has no services']],
    [
      'an import that is lacking',
      {
        'a.proto': `${HEAD} import "money.proto"; message M { pay.Money m = 1; } service Rooms { rpc Join(M) returns (M); }`,
      },
      ['t.Rooms'],
      [
        't.M.m: no type pay.Money; a.proto imports money.proto, lacking: add it, or make the set with its imports (protoc --include_imports, buf build)',
      ],
    ],
    [
      'a type that is nowhere',
      {
        'a.proto': `${HEAD} message M { Nowhere m = 1; } service Rooms { rpc Join(M) returns (Gone); }`,
      },
      ['t.Rooms'],
      ['t.M.m: no type Nowhere', 't.Rooms.Join: no type Gone'],
    ],
    [
      'a file that should be imported',
      {
        'a.proto': `${HEAD} import "c.proto"; message M { Money m = 1; } service Rooms { rpc Join(M) returns (M); }`,
        'b.proto': `${HEAD} message Money {}`,
        'c.proto': `${HEAD} import "b.proto"; message Other { Money m = 1; }`,
      },
      ['t.Rooms'],
      ['t.M.m: no type Money; t.Money is in b.proto, which a.proto does not import'],
    ],
    [
      'imports in a circle',
      {
        'a.proto': `${HEAD} import "b.proto"; message M {} service Rooms { rpc Join(M) returns (M); }`,
        'b.proto': 'import "a.proto";',
      },
      ['t.Rooms'],
      ['circular imports: a.proto, b.proto, a.proto'],
    ],
    [
      'a type in two files',
      {
        'a.proto': `${HEAD} import "b.proto"; message M {} service Rooms { rpc Join(M) returns (M); }`,
        'b.proto': `${HEAD} message M {}`,
      },
      ['t.Rooms'],
      ['t.M is in b.proto and in a.proto'],
    ],
  ])('%s', (_, files, services, problems) => {
    expect(made(files as Record<string, string>, services)).toEqual(problems);
  });

  test('a descriptor set that lacks an import', () => {
    const files = compiled(
      {
        'a.proto': `${HEAD} import "money.proto"; message M { pay.Money m = 1; } service Rooms { rpc Join(M) returns (M); }`,
        'money.proto': 'syntax = "proto3"; package pay; message Money {}',
      },
      ['t.Rooms'],
    ).filter(({ name }) => name === 'a.proto');
    expect(
      makeSchema({ files: files.map((proto) => ({ proto, from: 'lobby.binpb' })), problems: [] }, [
        't.Rooms',
      ]),
    ).toEqual({
      problems: [
        't.M.m: no type .pay.Money; a.proto imports money.proto, lacking: add it, or make the set with its imports (protoc --include_imports, buf build)',
      ],
    });
  });

  test('one name for two files, unless they are the same', () => {
    const file = (text: string, from: string) => ({ proto: parseProto('a.proto', text), from });
    const two = (other: string) =>
      makeSchema({ files: [file(ROOMS, 'x.binpb'), file(other, '/protos')], problems: [] }, [
        't.Rooms',
      ]);
    expect(two(ROOMS)).toHaveProperty('digest');
    expect(two(`${ROOMS} message More {}`)).toEqual({
      problems: ['a.proto is in x.binpb and, different, in /protos'],
    });
  });

  test('files that could not be read, when a service was not found in the rest', () => {
    const sources = { files: [], problems: ['/protos/b.proto:1:2: expected "="'] };
    expect(makeSchema(sources, ['t.Rooms'])).toEqual({
      problems: [
        'no service t.Rooms; the schema has no services',
        '/protos/b.proto:1:2: expected "="',
      ],
    });
  });

  test('a descriptor with a name that no compiler lets through', () => {
    const file = create(FileDescriptorProtoSchema, { name: 'a.proto', syntax: 'proto3' });
    file.messageType.push(parseProto('x', 'message M {}').messageType[0]!);
    file.messageType[0]!.name = 'constructor(){}';
    file.service.push(parseProto('x', 'service S {}').service[0]!);
    expect(makeSchema({ files: [{ proto: file, from: 'x' }], problems: [] }, ['S'])).toEqual({
      problems: [expect.stringContaining('invalid message name')],
    });
  });
});
