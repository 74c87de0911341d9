/** Which request a line answers that is too long to be kept. */
import { describe, expect, test } from 'vitest';

import { LongLine } from '../../../../src/upstream/ipc/long-line.ts';

function seqIdOf(line: string, size: number): number | null {
  const long = new LongLine();
  const bytes = Buffer.from(line);
  for (let at = 0; at < bytes.length; at += size) long.take(bytes.subarray(at, at + size));
  expect(long.bytes).toBe(bytes.length);
  return long.seqId;
}

describe.each([1, 3, 1_000])('in pieces of %i bytes', (size) => {
  test.each<[string, number | null]>([
    ['{"seq_id":7,"payload":{}}', 7],
    ['{"payload":{},"seq_id":7}', 7],
    ['{ "payload" : [ 1 , 2 ] , "seq_id" : 70 }', 70],
    ['{"payload":{"seq_id":1},"seq_id":2}', 2],
    ['{"seq_id":2,"payload":{"seq_id":1}}', 2],
    ['{"payload":"\\"seq_id\\":1,","seq_id":3}', 3],
    ['{"payload":"\\\\","seq_id":4}', 4],
    ['{"payload":"}{][\\"","seq_id":5}', 5],
    ['{"a":"seq_id","seq_id":6}', 6],
    ['{"seq_id":"8"}', 8],
    ['{"seq_id":2147483647}', 2_147_483_647],
    ['{"seq_id":               1234567,"payload":{}}', 1_234_567],
    ['{"seq_id"\t:\t12                       }', 12],
    ['{"\\"seq_id":5,"payload":{}}', null],
    ['{"cmd":"push","payload":{}}', null],
    ['{"payload":{"seq_id":1}}', null],
    ['{"seq_id":{"seq_id":1}}', null],
    ['{"seq_id":1.5}', null],
    ['{"seq_id":-1}', null],
    ['{"seq_id":null}', null],
    ['{"seq_id":99999999999}', null],
    ['{"seq_ids":1}', null],
    ['{"seq_id":1', null],
    ['[{"seq_id":1}]', null],
    ['"seq_id":1', null],
    ['}}}}{"seq_id":1}', null],
  ])('%s', (line, seqId) => {
    expect(seqIdOf(line, size)).toBe(seqId);
  });
});
