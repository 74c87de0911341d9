/** How a push may be delivered, in each form in which a backend says it. (In NATS headers: subjects.table.test.ts) */
import { describe, expect, test } from 'vitest';

import { decodePush } from '../../../src/contract/shapes.ts';
import { WireReader, WireWriter } from '../../../src/contract/wire.ts';
import { type PushMessage, pushOf } from '../../../src/control/shapes.ts';
import { readLine } from '../../../src/upstream/ipc/backend-lines.ts';

// oxfmt-ignore
const FORMS: readonly (readonly [delivery: string, protobuf: number, control: string, line: string])[] = [
  ['must',      0, 'DELIVERY_MUST',      'must'],
  ['droppable', 1, 'DELIVERY_DROPPABLE', 'droppable'],
  ['latest',    2, 'DELIVERY_LATEST',    'latest'],
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

/** A push as Control gets it. */
function pushOfName(delivery: string) {
  const body = { bytes: Buffer.from('{}') };
  const rest = { target: null, route: 'onX', latestKey: '', expiresIn: null };
  return pushOf({ ...rest, body, delivery } as unknown as PushMessage);
}

describe.each(FORMS)('%s', (delivery, number, name, word) => {
  test(`in protobuf is ${number}`, () => {
    expect(pushOfNumber(number).delivery).toBe(delivery);
  });

  test(`for Control is ${name}`, () => {
    expect(pushOfName(name).delivery).toBe(delivery);
  });

  test(`in a line is ${word}`, () => {
    expect(pushOfWord(word)).toMatchObject({ kind: 'push', push: { delivery } });
  });
});

test('where nothing is said it is must', () => {
  expect(pushOfNumber(9).delivery).toBe('must');
  expect(pushOfName('').delivery).toBe('must');
  expect(pushOfWord(undefined)).toMatchObject({ push: { delivery: 'must' } });
});
