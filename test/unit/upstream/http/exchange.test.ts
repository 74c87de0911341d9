import { expect, test } from 'vitest';

import { Exchange, ByteBudget } from '../../../../src/upstream/http/exchange.ts';
import { isCollected } from '../../../support/collect.ts';

const CONTROLLER = { abort() {}, pause() {}, resume() {} } as never;

test('what is held of an answer is what is counted of it, however small its chunks are', async () => {
  const answers: Buffer[] = [];
  class Kept extends Exchange {
    protected answered(): void {
      answers.push(this.body);
    }

    protected failed(): void {}
  }
  const exchange = new Kept(
    { key: 'backends.web.http', url: 'http://127.0.0.1' },
    { answerBytesMax: 16_777_215, held: new ByteBudget(67_108_864) },
  );
  exchange.onRequestStart(CONTROLLER);
  exchange.onResponseStart(CONTROLLER, 200, {});
  const memory: WeakRef<ArrayBuffer>[] = [];
  // As a chunk of one byte after a chunk extension of 64 KiB: a view of all that was read with it.
  for (let n = 0; n < 500; n++) {
    const read = new ArrayBuffer(65_536);
    memory.push(new WeakRef(read));
    exchange.onResponseData(CONTROLLER, Buffer.from(read, 65_535).fill(97));
  }
  // The first may be all that there is.
  const living = (): number => memory.filter((read) => read.deref() !== undefined).length;
  expect(await isCollected(() => living() < 5)).toBe(true);
  exchange.onResponseEnd();
  expect(answers.map(String)).toEqual(['a'.repeat(500)]);
});
