/**
 * The double of gRPC in test/simulate does what grpc-js does: the same rows, with the same literal expectations, are
 * played to both.
 */
import { describe, expect, test } from 'vitest';

import { CALLS } from '../simulate/grpc-rows/calls.ts';
import { CONNECTIONS } from '../simulate/grpc-rows/connections.ts';
import { VirtualStage } from '../simulate/grpc-virtual-stage.ts';
import { RealStage } from '../support/grpc-real-stage.ts';

const STAGES = {
  'grpc-js and a real server': (between: boolean) => new RealStage(between),
  'the double': () => new VirtualStage(),
} as const;

describe.each(Object.entries(STAGES))('%s', (_name, make) => {
  test.each([...CALLS, ...CONNECTIONS])(
    '$name',
    async ({ play, seen, served, between = false }) => {
      await using stage = make(between);
      await play(stage);
      expect(stage.seen.map((line) => line.trim())).toEqual(seen);
      expect(inOrder(stage.served)).toEqual(inOrder(served));
    },
  );
});

/** Calls come in one order, and what comes of each; between two calls there is none. */
function inOrder(lines: readonly string[]): string[] {
  return lines.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
}
