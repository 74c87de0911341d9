import { describe, expect, test } from 'vitest';

import type { Target } from '../../../../src/routing/rule.ts';
import { Methods, noMethod, pathsOf } from '../../../../src/upstream/method/methods.ts';
import { schemaOf } from './schemas.ts';

const schema = schemaOf(`syntax = "proto3"; package t; message M {}
  service S { rpc Join(M) returns (M); rpc leave(M) returns (M); rpc JoinRoom(M) returns (M); }`);
const target = (method: string, ordinal = 0): Target => ({ method, ordinal }) as Target;

describe('what a template and a route make', () => {
  test.each([
    ['/lobby.v1.Rooms/Join', 'any.route', ['/lobby.v1.Rooms/Join']],
    ['lobby.v1.Rooms/Join', 'any.route', ['/lobby.v1.Rooms/Join']],
    ['/t.S/{method}', 'a.b.join', ['/t.S/join', '/t.S/Join']],
    ['/t.S/{method}', 'a.b.Join', ['/t.S/Join']],
    ['/t.S/{method}', 'a.join_room', ['/t.S/join_room', '/t.S/JoinRoom']],
    ['/t.S/{method}', 'a.join-the-room', ['/t.S/join-the-room', '/t.S/JoinTheRoom']],
    [
      '/{server}.v1.{handler}/{method}',
      'lobby.room.join',
      ['/lobby.v1.room/join', '/lobby.v1.Room/Join'],
    ],
    [
      '/{server}.v1.{handler}Service/{method}',
      'lobby.room.join',
      ['/lobby.v1.roomService/join', '/lobby.v1.RoomService/Join'],
    ],
    ['/{handler}/{method}', 'a.b.c.d', ['/b.c/d', '/B.C/D']],
    ['/t.{server}/{method}', 'room.join', ['/t.room/join', '/t.Room/Join']],
    ['/t.{handler}/{method}', 'room.join', ['/t./join', '/t./Join']],
  ])('%s and %s', (template, route, paths) => {
    expect(pathsOf(template, route)).toEqual(paths);
  });
});

describe('a route finds its method', () => {
  test('as it is written, else as methods are', () => {
    const methods = new Methods();
    const find = (route: string) => methods.find(schema, target('/t.S/{method}'), route)?.path;
    expect(find('t.s.join')).toBe('/t.S/Join');
    expect(find('t.s.join')).toBe('/t.S/Join');
    expect(find('t.s.leave')).toBe('/t.S/leave');
    expect(find('t.s.joinRoom')).toBe('/t.S/JoinRoom');
    expect(find('t.s.other')).toBeUndefined();
  });

  test('by its own rule, and in the schema of now', () => {
    const methods = new Methods();
    expect(methods.find(schema, target('/t.S/Join', 1), 'a.b')?.path).toBe('/t.S/Join');
    expect(methods.find(schema, target('/t.S/leave', 2), 'a.b')?.path).toBe('/t.S/leave');
    const next = schemaOf(
      'syntax = "proto3"; package t; message M {} service S { rpc Leave(M) returns (M); }',
    );
    expect(methods.find(next, target('/t.S/Join', 1), 'a.b')).toBeNull();
    expect(methods.find(schema, target('/t.S/Join', 1), 'a.b')).toBe(
      schema.methods.get('/t.S/Join'),
    );
  });

  test('however many routes there are', () => {
    const methods = new Methods();
    for (let i = 0; i < 10_000; i++)
      expect(methods.find(schema, target('/t.S/Join'), `a.r${i}`)).not.toBeNull();
  });
});

test('what was looked for in vain is said, with what is near', () => {
  expect(noMethod(schema, '/t.S/{method}', 'a.jion')).toBe(
    'no method /t.S/jion or /t.S/Jion in the listed services; did you mean "/t.S/Join"?',
  );
  expect(noMethod(schema, '/x.Y/Z', 'a.b')).toBe('no method /x.Y/Z in the listed services');
});
