import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const EXAMPLES = new URL('../../../../deploy/examples/', import.meta.url);

test('the rooms of all languages are one service', () => {
  const proto = (path: string) =>
    readFileSync(new URL(`${path}/lobby/v1/rooms.proto`, EXAMPLES), 'utf8');
  expect(proto('rooms-grpc-python/proto')).toBe(proto('rooms-grpc-go/proto'));
  expect(proto('rooms-grpc-java/src/main/proto')).toBe(proto('rooms-grpc-go/proto'));
});
