/** The lines that a backend reads. That they arrive: test/integration/ipc.test.ts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Session } from '../../../../src/session/session.ts';
import { sessionTail, writeLine } from '../../../../src/upstream/ipc/gateway-lines.ts';

const data = Object.assign(Object.create(null) as object, { room: 'ä\u2028', level: 3 });
const session = { sid: 'g-1.7', uid: 'zoë "1"', data } as unknown as Session;

test('one line whatever is in it, and all of it is there', () => {
  const facts = fc.record({
    payload: fc.json().map((text) => JSON.stringify(JSON.parse(text), null, 1)),
    seqId: fc.nat(),
    timeoutMs: fc.nat(),
    trace: fc.option(fc.record({ traceparent: fc.string(), tracestate: fc.string() })),
  });
  fc.assert(
    fc.property(facts, ({ payload, seqId, timeoutMs, trace }) => {
      const line = writeLine({
        cmd: 'chat.room.join',
        payload: Buffer.from(payload),
        seqId,
        timeoutMs,
        trace,
        tail: sessionTail(session, ['room', 'absent']),
      }).toString();
      expect(line.indexOf('\n')).toBe(line.length - 1);
      const read = JSON.parse(line) as Record<string, unknown>;
      expect(read).toEqual({
        cmd: 'chat.room.join',
        payload: JSON.parse(payload) as unknown,
        ...(seqId !== 0 && { seq_id: seqId }),
        ...(timeoutMs !== 0 && { timeout_ms: timeoutMs }),
        ...(trace !== null && { traceparent: trace.traceparent }),
        ...(trace !== null && trace.tracestate !== '' && { tracestate: trace.tracestate }),
        session: { sid: 'g-1.7', uid: 'zoë "1"', data: { room: 'ä\u2028' } },
      });
    }),
    { numRuns: 100 },
  );
});

test('an empty body is an empty object, and nothing forwarded is no data', () => {
  const line = writeLine({
    cmd: 'a.b',
    payload: Buffer.alloc(0),
    seqId: 0,
    timeoutMs: 0,
    trace: null,
    tail: sessionTail(session, []),
  }).toString();
  expect(line).toBe(
    '{"cmd":"a.b","payload":{},"session":{"sid":"g-1.7","uid":"zoë \\"1\\"","data":{}}}\n',
  );
});
