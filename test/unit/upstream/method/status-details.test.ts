import { Metadata, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { WireWriter } from '../../../../src/contract/protobuf-wire.ts';
import { failureOfMethod, isSpoken } from '../../../../src/upstream/method/status-details.ts';

function ended(code: number, details: string, bytes?: Buffer) {
  const metadata = new Metadata();
  if (bytes !== undefined) metadata.set('grpc-status-details-bin', bytes);
  return { code, details, metadata };
}

/** A google.rpc.Status with one detail. */
function withDetail(type: string, value: Buffer): Buffer {
  const any = new WireWriter();
  any.text(1, type);
  any.bytes(2, value);
  const writer = new WireWriter();
  writer.bytes(3, any.take());
  return writer.take();
}

describe('the failure of a status', () => {
  test('whatever its details are, there is one', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.integer({ min: 1, max: 40 }),
        (noise, code) => {
          const bytes = Buffer.from(noise);
          for (const type of ['ErrorInfo', 'RetryInfo', 'BadRequest', 'LocalizedMessage', 'Help']) {
            const detail = withDetail(`type.googleapis.com/google.rpc.${type}`, bytes);
            for (const details of [bytes, detail]) {
              const failed = failureOfMethod(ended(code, 'words', details));
              expect(failed.code).toBeGreaterThanOrEqual(400);
              expect(failed.reason).not.toBe('');
              expect(failed.retryAfterMs).toBeGreaterThanOrEqual(0);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('texts and waits have their bounds', () => {
    const long = new WireWriter();
    long.text(1, 'R'.repeat(5_000));
    const failed = failureOfMethod(
      ended(status.NOT_FOUND, 'x'.repeat(5_000), withDetail('a/google.rpc.ErrorInfo', long.take())),
    );
    expect(failed.message).toHaveLength(1_024);
    expect(failed.reason).toHaveLength(128);
    const delay = new WireWriter();
    delay.uint(1, 10_000_000);
    const info = new WireWriter();
    info.bytes(1, delay.take());
    expect(
      failureOfMethod(
        ended(status.UNAVAILABLE, '', withDetail('a/google.rpc.RetryInfo', info.take())),
      ),
    ).toMatchObject({ reason: 'BACKEND_AWAY', retryAfterMs: 86_400_000 });
  });

  test('a message that is larger than a packet was answered, not refused', () => {
    const text = 'Received message larger than max (16777300 vs 16777216)';
    expect(failureOfMethod(ended(status.RESOURCE_EXHAUSTED, text))).toMatchObject({
      code: 502,
      reason: 'BAD_REPLY',
    });
  });

  test('speaks to the client, or to whoever keeps the log', () => {
    const spoken = Array.from({ length: 17 }, (_, code) => code).filter((code) =>
      isSpoken(ended(code, '')),
    );
    expect(spoken).toEqual([3, 5, 6, 7, 8, 9, 10, 11, 16]);
  });
});
