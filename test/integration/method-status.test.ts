/** mode: method: what the statuses of a backend's own methods mean to a client. */
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';

import { WireWriter } from '../../src/contract/protobuf-wire.ts';
import { control } from '../support/grpcurl.ts';
import { metadata, MethodPair } from '../support/method-pair.ts';

describe('a status is what it means', () => {
  test.each([
    [status.INVALID_ARGUMENT, 400, 'INVALID_ARGUMENT', 'their words'],
    [status.FAILED_PRECONDITION, 400, 'FAILED_PRECONDITION', 'their words'],
    [status.OUT_OF_RANGE, 400, 'OUT_OF_RANGE', 'their words'],
    [status.UNAUTHENTICATED, 401, 'UNAUTHENTICATED', 'their words'],
    [status.PERMISSION_DENIED, 403, 'FORBIDDEN', 'their words'],
    [status.NOT_FOUND, 404, 'NOT_FOUND', 'their words'],
    [status.ABORTED, 409, 'ABORTED', 'their words'],
    [status.ALREADY_EXISTS, 409, 'ALREADY_EXISTS', 'their words'],
    [status.RESOURCE_EXHAUSTED, 429, 'RESOURCE_EXHAUSTED', 'their words'],
    [status.UNKNOWN, 500, 'BACKEND_ERROR', 'the backend failed'],
    [status.INTERNAL, 500, 'BACKEND_ERROR', 'the backend failed'],
    [status.DATA_LOSS, 500, 'BACKEND_ERROR', 'the backend failed'],
    [status.UNIMPLEMENTED, 501, 'UNSUPPORTED', 'the backend does not have this method'],
    [status.UNAVAILABLE, 503, 'BACKEND_AWAY', 'the backend is unavailable; try again'],
    [status.CANCELLED, 503, 'BACKEND_AWAY', 'the backend is unavailable; try again'],
    [status.DEADLINE_EXCEEDED, 504, 'TIMEOUT', 'the backend did not answer in time'],
  ])('%i is %i %s, of unary methods and of streams', async (code, number, reason, msg) => {
    await using pair = await MethodPair.start((asked) => {
      asked.fail(code, 'their words');
    });
    await using client = await pair.join();
    const expected = { code: number, reason, msg };
    expect(await client.request('t.say')).toEqual(expected);
    expect(await client.request('t.many')).toEqual(expected);
  });

  test('a failed method is logged with its message; an error meant for its caller is not', async () => {
    let code: number = status.NOT_FOUND;
    await using pair = await MethodPair.start((asked) => {
      asked.fail(code, 'no table players');
    });
    await using client = await pair.join();
    await client.request('t.say');
    expect(pair.gateway.log.some(({ msg }) => msg === 'call failed')).toBe(false);
    code = status.INTERNAL;
    await client.request('t.say');
    expect(pair.gateway.log.find(({ msg }) => msg === 'call failed')).toMatchObject({
      backend: 'echo',
      route: 't.say',
      why: expect.stringMatching(/^\/t\.Echo\/Say at \S+: INTERNAL: no table players$/),
    });
  });

  test('its details are parts of the error, and its metadata changes the session', async () => {
    await using pair = await MethodPair.start((asked) => {
      const more = metadata({
        'grpc-status-details-bin': statusDetails(),
        'x-pith-set': '{"strikes":1}',
      });
      asked.fail(status.RESOURCE_EXHAUSTED, 'quota of table players', more);
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toEqual({
      code: 429,
      reason: 'TOO_FAST',
      msg: 'Langsamer, bitte',
      retry_after_ms: 1_500,
      fields: { 'items[1]': 'too many' },
    });
    expect(await control(pair.gateway, 'ListSessions')).toMatchObject({ data: { strikes: 1 } });
  });

  test('x-pith-error-reason is for those who have no details', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.fail(status.NOT_FOUND, 'no room', metadata({ 'x-pith-error-reason': 'NO_ROOM' }));
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toEqual({ code: 404, reason: 'NO_ROOM', msg: 'no room' });
  });

  test('x-pith-error-reason is cut at 128 characters, as every reason is', async () => {
    await using pair = await MethodPair.start((asked) => {
      const reason = 'R'.repeat(200);
      asked.fail(status.NOT_FOUND, 'no room', metadata({ 'x-pith-error-reason': reason }));
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ reason: 'R'.repeat(128) });
  });
});

/** google.rpc.Status with one of each detail that is understood, and one that is not. */
function statusDetails(): Buffer {
  const part = (write: (writer: WireWriter) => void): Buffer => {
    const writer = new WireWriter();
    write(writer);
    return writer.take();
  };
  const any = (type: string, write: (writer: WireWriter) => void): Buffer =>
    part((writer) => {
      writer.text(1, `type.googleapis.com/google.rpc.${type}`);
      writer.bytes(2, part(write));
    });
  const violation = part((writer) => {
    writer.text(1, 'items[1]');
    writer.text(2, 'too many');
  });
  const delay = part((writer) => {
    writer.uint(1, 1);
    writer.uint(2, 500_000_000);
  });
  return part((status_) => {
    status_.uint(1, status.RESOURCE_EXHAUSTED);
    status_.text(2, 'quota of table players');
    for (const detail of [
      any('DebugInfo', (writer) => writer.text(2, 'secret')),
      any('ErrorInfo', (writer) => writer.text(1, 'TOO_FAST')),
      any('RetryInfo', (writer) => writer.bytes(1, delay)),
      any('BadRequest', (writer) => writer.bytes(1, violation)),
      any('LocalizedMessage', (writer) => {
        writer.text(1, 'de');
        writer.text(2, 'Langsamer, bitte');
      }),
    ])
      status_.bytes(3, detail);
  });
}
