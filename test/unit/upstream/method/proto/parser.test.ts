import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseProto } from '../../../../../src/upstream/method/proto/parser.ts';
import { ProtoError } from '../../../../../src/upstream/method/proto/tokens.ts';
import { schemaOf } from '../schemas.ts';

const HEAD = 'syntax = "proto3"; package t;\n';

describe('a .proto file', () => {
  test.each([
    ['a list of messages in an option', 'option (o) = { tags: [ { name: "a" }, { name: "b" } ] };'],
    ['a type as the key of an option', 'option (o) = { [type.googleapis.com/a.B]: { x: 1 } };'],
    ['angle brackets in an option', 'option (o) = { a < b: 1 > };'],
    ['a sign apart from its number', 'option (o) = { a: - 1 };'],
    ['text in pieces', 'option (o) = { a: "x" \'y\' };'],
    ['empty statements', '; message M { ; enum E { ; A = 0; } ; oneof o { int32 a = 1; } ; } ;'],
    ['reserved numbers below zero', 'enum E { A = 0; reserved -5 to -1, 7; reserved "B"; }'],
    ['numbers in every form', 'message M { int32 a = 0x10; int32 b = 017; int32 c = 3; }'],
    ['spaces around dots', 'message M { map<string, t . M> a = 1; t. M b = 2; }'],
    ['comments anywhere', 'message /* a */ M { // b\n int32 a /* c */ = 1; }'],
    [
      'a message that is called stream',
      'message stream {} service X { rpc A(stream) returns (stream stream); }',
    ],
    ['an option of an option', 'message M { int32 a = 1 [(x).y.(z) = 3, deprecated = true]; }'],
    [
      'who may use a type',
      'export message M {} local enum E { A = 0; } message N { local message I {} }',
    ],
    [
      'a service with options',
      'message M {} service X { option deprecated = true; rpc A(M) returns (M) { option idempotency_level = IDEMPOTENT; }; }',
    ],
    [
      'import of options',
      'import option "a.proto"; import weak "b.proto"; import public "c.proto";',
    ],
  ])('may have %s', (_, text) => {
    expect(() => parseProto('a.proto', HEAD + text)).not.toThrow();
  });

  test('may call its fields as it likes', () => {
    const schema = schemaOf(`${HEAD}
      message M { string message = 1; string option = 2; int32 reserved = 3; string package = 4; repeated string map = 5;
        optional string optional = 6; message.X x = 7; string __proto__ = 9; string constructor = 10;
        enum.Y y = 11; repeated .t.M z = 12; }
      message message { message X {} } message enum { message Y {} }
      service S { rpc A(M) returns (M); }`);
    expect(schema.registry.getMessage('t.M')!.fields.map(({ name }) => name)).toEqual(
      'message option reserved package map optional x __proto__ constructor y z'.split(' '),
    );
  });

  test.each([
    ['first_name', 'firstName'],
    ['a__b', 'aB'],
    ['_x', 'X'],
    ['x_', 'x'],
    ['Foo_Bar', 'FooBar'],
    ['a1_2b', 'a12b'],
  ])('gives %s the name %s in JSON', (name, jsonName) => {
    const file = parseProto('a.proto', `${HEAD} message M { int32 ${name} = 1; }`);
    expect(file.messageType[0]!.field[0]!.jsonName).toBe(jsonName);
  });

  test.each([
    ['message M { int32 a = ; }', 'a.proto:2:23: expected the field\'s number, got ";"'],
    ['message M { int32 a = 1 }', 'a.proto:2:25: expected ";", got "}"'],
    [
      'message M {',
      'a.proto:2:12: expected a field, message, enum, oneof, map, option, reserved or extensions, got the end',
    ],
    ['massage M {}', 'a.proto:2:1: "massage" does not belong here'],
    ['message M { string a = "x"; }', 'a.proto:2:24: expected the field\'s number, got "x"'],
    [
      'message M { map<bytes, int32> a = 1; }',
      "a.proto:2:22: a map's key is an integer, a bool or a string",
    ],
    [
      'message M { map<int32, string> a = 1; map<bool, string> A = 2; }',
      'a.proto:2:11: M has two messages AEntry: the map that one belongs to needs another name',
    ],
    ['message M { message A {} message A {} }', 'a.proto:2:11: M has two messages A'],
    ['option x = "a', 'a.proto:2:12: a string that does not end does not belong here'],
    ['message M { int32 ä = 1; }', 'a.proto:2:19: "ä" does not belong here'],
    ['enum E {}', 'a.proto:2:6: enum E has no value'],
    ['message M { oneof o {} }', 'a.proto:2:19: oneof o has no field'],
    ['option (x) = { a: { b: 1 }', 'a.proto:2:27: expected "}", got the end'],
    ['message M { int32 a = 0; }', `a.proto:2:23: the field's number is 1 to 536870911`],
    ['message M { int32 a = -1; }', `a.proto:2:23: the field's number is 1 to 536870911`],
    ['message M { int32 a = 4294967296; }', `a.proto:2:23: the field's number is 1 to 536870911`],
    [
      'message M { map<int32, M> a = 536870912; }',
      `a.proto:2:31: the field's number is 1 to 536870911`,
    ],
    ['enum E { A = 2147483648; }', `a.proto:2:14: the value's number is -2147483648 to 2147483647`],
    [
      'message M { int32 a = 1 [features.field_presence = toString]; }',
      'a.proto:2:52: features.field_presence has no value "toString"; there are FIELD_PRESENCE_UNKNOWN, EXPLICIT, IMPLICIT, LEGACY_REQUIRED',
    ],
    [
      'option features = { enum_type: 1 };',
      'a.proto:2:32: features.enum_type has no value "1"; there are ENUM_TYPE_UNKNOWN, OPEN, CLOSED',
    ],
    ['syntax = "proto2";', 'a.proto:2:1: syntax is not the first statement'],
    ['edition = "2023";', 'a.proto:2:1: edition is not the first statement'],
  ])('that is wrong is said to be, with the place: %s', (text, message) => {
    expect(() => parseProto('a.proto', HEAD + text)).toThrow(new ProtoError(message));
  });

  test.each(['syntax = "proto4";', 'edition = "1999";'])('of a language to come: %s', (text) => {
    expect(() => parseProto('a.proto', text)).toThrow(/^a.proto:1:\d+: unknown (syntax|edition)/);
  });

  test('nested without end is refused, not a crash', () => {
    const deep = 'message M { '.repeat(5_000);
    expect(() => parseProto('a.proto', deep)).toThrow(ProtoError);
  });

  test('whatever it holds is read or refused', () => {
    const words = fc.constantFrom(
      ...'message enum service rpc option { } [ ] ( ) < > = ; , . - 1 0x "a" M oneof map stream returns optional group /* // extend'.split(
        ' ',
      ),
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 40 }), (text) => {
        expect(outcomeOf(text.join(' '))).toMatch(/^read$|^a\.proto:1:\d+: /);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the language', () => {
  test('says what a field without a label is', () => {
    const field = (text: string) => {
      const schema = schemaOf(
        `${text} package t; message M { int32 a = 1; } service S { rpc A(M) returns (M); }`,
      );
      return schema.registry.getMessage('t.M')!.fields[0]!.presence;
    };
    const [explicit, implicit] = [1, 2];
    expect(field('syntax = "proto3";')).toBe(implicit);
    expect(field('edition = "2023";')).toBe(explicit);
    expect(field('edition = "2023"; option features.field_presence = IMPLICIT;')).toBe(implicit);
    expect(field('edition = "2024"; option features = { field_presence: IMPLICIT };')).toBe(
      implicit,
    );
  });
});

function outcomeOf(text: string): string {
  try {
    parseProto('a.proto', text);
    return 'read';
  } catch (error) {
    return error instanceof ProtoError ? error.message : String(error);
  }
}
