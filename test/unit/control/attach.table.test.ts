/** How a Link ends that a backend has opened itself, on either way in. */
import { expect, test } from 'vitest';

import { STATUS_OF_ENDING } from '../../../src/control/attach-grpc.ts';
import { CLOSE_CODE_OF_ENDING } from '../../../src/control/attach-websocket.ts';
import type { Ending } from '../../../src/upstream/dial-in/attach-stream.ts';

// oxfmt-ignore
const ENDS: readonly (readonly [Ending['how'], grpcStatus: number, closeCode: number])[] = [
  ['done',            0,  1000],    // OK
  ['unauthenticated', 16, 1008],    // UNAUTHENTICATED
  ['invalid',         3,  1008],    // INVALID_ARGUMENT
  ['full',            8,  1013],    // RESOURCE_EXHAUSTED
  ['stopping',        14, 1001],    // UNAVAILABLE
  ['broken',          10, 1011],    // ABORTED
];

test.each(ENDS)('%s: gRPC %i, WebSocket %i', (how, grpcStatus, closeCode) => {
  expect([STATUS_OF_ENDING[how], CLOSE_CODE_OF_ENDING[how]]).toEqual([grpcStatus, closeCode]);
});

test('there are no others', () => {
  const names = ENDS.map(([how]) => how);
  expect([Object.keys(STATUS_OF_ENDING), Object.keys(CLOSE_CODE_OF_ENDING)]).toEqual([
    names,
    names,
  ]);
});
