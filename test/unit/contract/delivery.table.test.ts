/** How a push may be delivered, in each form in which a backend says it. (In NATS headers: subjects.table.test.ts) */
import { describe, expect, test } from 'vitest';

import { decodePush } from '../../../src/contract/shapes.ts';
import { WireReader, WireWriter } from '../../../src/contract/wire.ts';
import { readLine } from '../../../src/upstream/ipc/backend-lines.ts';

// oxfmt-ignore
const FORMS: readonly (readonly [delivery: string, protobuf: number, line: string])[] = [
  ['must',      0, 'must'],
  ['droppable', 1, 'droppable'],
  ['latest',    2, 'latest'],
];

/** A push in protobuf: field 4 is its delivery. */
function pushOfNumber(delivery: number) {
  const writer = new WireWriter();
  writer.uint(4, delivery);
  return decodePush(new WireReader(writer.take()), 1_024);
}

/** A push on a Unix socket. */
function pushOfWord(delivery: string | undefined) {
  const line = { cmd: 'push', all: true, route: 'onX', payload: {}, delivery };
  return readLine(Buffer.from(JSON.stringify(line)), 1_024);
}

describe.each(FORMS)('%s', (delivery, number, word) => {
  test(`in protobuf is ${number}`, () => {
    expect(pushOfNumber(number).delivery).toBe(delivery);
  });

  test(`in a line is ${word}`, () => {
    expect(pushOfWord(word)).toMatchObject({ kind: 'push', push: { delivery } });
  });
});

test('where nothing is said it is must', () => {
  expect(pushOfNumber(9).delivery).toBe('must');
  expect(pushOfWord(undefined)).toMatchObject({ push: { delivery: 'must' } });
});
