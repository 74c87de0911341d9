/** What a client is told for each status with which a backend ends a call. proto/README.md has the same tables. */
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';

import { failureOfStatus } from '../../../src/upstream/grpc-client/status.ts';
import { NOT_SERVED } from '../../../src/upstream/http/closed-events.ts';
import { refusalOf } from '../../../src/upstream/http/status.ts';
import { failureOfMethod, isSpoken } from '../../../src/upstream/method/status-details.ts';

describe('HTTP', () => {
  // Where the standard text would speak of the gateway, it speaks of the backend.
  test.each<readonly [status: number, code: number, reason: string, message: string]>([
    [400, 400, 'BAD_BODY', 'the backend could not read the body'],
    [401, 401, 'NOT_BOUND', 'the backend requires a user'],
    [402, 500, 'BACKEND_ERROR', 'the backend failed'],
    [403, 403, 'FORBIDDEN', 'not allowed'],
    [404, 404, 'NO_ROUTE', 'the backend has no such route'],
    [405, 500, 'BACKEND_ERROR', 'the backend failed'],
    [408, 504, 'TIMEOUT', 'the backend did not answer in time'],
    [409, 409, 'CONFLICT', 'the backend reported a conflict'],
    [410, 500, 'BACKEND_ERROR', 'the backend failed'],
    [413, 413, 'TOO_LARGE', 'too large for the backend'],
    [418, 500, 'BACKEND_ERROR', 'the backend failed'],
    [422, 500, 'BACKEND_ERROR', 'the backend failed'],
    [429, 429, 'TOO_MANY', 'too many messages; slow down'],
    [500, 500, 'BACKEND_ERROR', 'the backend failed'],
    [501, 500, 'BACKEND_ERROR', 'the backend failed'],
    [502, 503, 'BACKEND_AWAY', 'the backend is unavailable; try again'],
    [503, 503, 'BACKEND_AWAY', 'the backend is unavailable; try again'],
    [504, 504, 'TIMEOUT', 'the backend did not answer in time'],
    [505, 500, 'BACKEND_ERROR', 'the backend failed'],
    [599, 500, 'BACKEND_ERROR', 'the backend failed'],
  ])('%i: %i %s', (status, code, reason, message) => {
    const facts = { status, body: Buffer.alloc(0), reason: '', retryAfter: '', wallNow: 0 };
    const { failure, spoken } = refusalOf(facts);
    expect(failure).toMatchObject({ code, reason, message, body: null });
    expect(spoken).toBe(false);
  });

  test('after these nothing more is said of sessions that ended', () => {
    expect([...NOT_SERVED]).toEqual([404, 405, 501]);
  });
});

describe('Handle', () => {
  test.each<readonly [status: number, name: string, code: number, reason: string]>([
    [1, 'CANCELLED', 503, 'BACKEND_AWAY'],
    [2, 'UNKNOWN', 500, 'BACKEND_ERROR'],
    [3, 'INVALID_ARGUMENT', 400, 'BAD_BODY'],
    [4, 'DEADLINE_EXCEEDED', 504, 'TIMEOUT'],
    [5, 'NOT_FOUND', 500, 'BACKEND_ERROR'],
    [6, 'ALREADY_EXISTS', 500, 'BACKEND_ERROR'],
    [7, 'PERMISSION_DENIED', 403, 'FORBIDDEN'],
    [8, 'RESOURCE_EXHAUSTED', 503, 'OVERLOADED'],
    [9, 'FAILED_PRECONDITION', 500, 'BACKEND_ERROR'],
    [10, 'ABORTED', 500, 'BACKEND_ERROR'],
    [11, 'OUT_OF_RANGE', 500, 'BACKEND_ERROR'],
    [12, 'UNIMPLEMENTED', 500, 'BACKEND_ERROR'],
    [13, 'INTERNAL', 500, 'BACKEND_ERROR'],
    [14, 'UNAVAILABLE', 503, 'BACKEND_AWAY'],
    [15, 'DATA_LOSS', 500, 'BACKEND_ERROR'],
    [16, 'UNAUTHENTICATED', 401, 'NOT_BOUND'],
  ])('%i %s: %i %s', (status, _name, code, reason) => {
    expect(failureOfStatus({ code: status } as ServiceError)).toMatchObject({ code, reason });
  });
});

describe("a backend's own method", () => {
  // The text of the status is shown to the client, or goes to the log.
  // oxfmt-ignore
  test.each<readonly [status: number, name: string, code: number, reason: string, text: 'shown' | 'logged']>([
    [1,  'CANCELLED',           503, 'BACKEND_AWAY',        'logged'],
    [2,  'UNKNOWN',             500, 'BACKEND_ERROR',       'logged'],
    [3,  'INVALID_ARGUMENT',    400, 'INVALID_ARGUMENT',    'shown'],
    [4,  'DEADLINE_EXCEEDED',   504, 'TIMEOUT',             'logged'],
    [5,  'NOT_FOUND',           404, 'NOT_FOUND',           'shown'],
    [6,  'ALREADY_EXISTS',      409, 'ALREADY_EXISTS',      'shown'],
    [7,  'PERMISSION_DENIED',   403, 'FORBIDDEN',           'shown'],
    [8,  'RESOURCE_EXHAUSTED',  429, 'RESOURCE_EXHAUSTED',  'shown'],
    [9,  'FAILED_PRECONDITION', 400, 'FAILED_PRECONDITION', 'shown'],
    [10, 'ABORTED',             409, 'ABORTED',             'shown'],
    [11, 'OUT_OF_RANGE',        400, 'OUT_OF_RANGE',        'shown'],
    [12, 'UNIMPLEMENTED',       501, 'UNSUPPORTED',         'logged'],
    [13, 'INTERNAL',            500, 'BACKEND_ERROR',       'logged'],
    [14, 'UNAVAILABLE',         503, 'BACKEND_AWAY',        'logged'],
    [15, 'DATA_LOSS',           500, 'BACKEND_ERROR',       'logged'],
    [16, 'UNAUTHENTICATED',     401, 'UNAUTHENTICATED',     'shown'],
  ])('%i %s: %i %s, its text is %s', (status, _name, code, reason, text) => {
    const ended = { code: status, details: 'their words', metadata: new Metadata() };
    const failed = failureOfMethod(ended);
    expect(failed).toMatchObject({ code, reason });
    expect(failed.message === 'their words').toBe(text === 'shown');
    expect(isSpoken(ended)).toBe(text === 'shown');
  });
});
