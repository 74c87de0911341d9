/** Every reason that the gateway gives, as a client, an operator and each way into the gateway see it. */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';

import { ANYBODY, openAccess } from '../support/open-access.ts';
import { keptLog } from '../support/report.ts';
import { grpcHandlers } from '../../src/control/grpc-handlers.ts';
import { systemClock } from '../../src/clock.ts';
import { JsonApi } from '../../src/control/json-api.ts';
import type { Methods } from '../../src/control/method.ts';
import { PitayaDialect } from '../../src/dialect/pitaya.ts';
import {
  failure,
  GatewayError,
  isFailure,
  type Reason,
  reasonOfCode,
  REASONS,
} from '../../src/errors.ts';
import { packetOffset } from '../../src/protocol/packet.ts';
import { POMELO } from './session/support.ts';

type Row = readonly [
  reason: Reason,
  /** In the error's body, and the status of Control over HTTP. */
  code: number,
  grpc: number,
  pitaya: string,
  log: string,
  message: string,
];

// gRPC: 3 INVALID_ARGUMENT · 4 DEADLINE_EXCEEDED · 5 NOT_FOUND · 7 PERMISSION_DENIED · 8 RESOURCE_EXHAUSTED ·
// 9 FAILED_PRECONDITION · 12 UNIMPLEMENTED · 13 INTERNAL · 14 UNAVAILABLE · 16 UNAUTHENTICATED
// oxfmt-ignore
const ROWS: readonly Row[] = [
  ['BAD_ROUTE',     400, 3,  'PIT-400', 'debug', 'invalid route: expected segments of A-Z a-z 0-9 _ - joined by dots'],
  ['BAD_BODY',      400, 3,  'PIT-400', 'debug', 'the body could not be read'],
  ['BAD_ARGUMENT',  400, 3,  'PIT-400', 'debug', 'an argument is missing or wrong'],
  ['UNAUTHENTICATED', 401, 16, 'PIT-401', 'debug', 'this call needs a token: authorization: Bearer <token>'],
  ['NOT_BOUND',     401, 16, 'PIT-401', 'debug', 'this route needs a session bound to a user'],
  ['BAD_TOKEN',     401, 16, 'PIT-401', 'debug', 'the token is not valid'],
  ['FORBIDDEN',     403, 7,  'PIT-403', 'debug', 'not allowed'],
  ['NO_ROUTE',      404, 5,  'PIT-404', 'debug', 'no such route'],
  ['NO_SESSION',    404, 5,  'PIT-404', 'debug', 'no such session'],
  ['CONFLICT',      409, 9,  'PIT-409', 'debug', 'the session has changed, or is bound to another user'],
  ['CLOSING',       409, 9,  'PIT-409', 'debug', 'the session is closing'],
  ['UID_IN_USE',    409, 9,  'PIT-409', 'debug', 'this user is connected elsewhere'],
  ['TOO_LARGE',     413, 8,  'PIT-413', 'warn',  'a limit of this gateway is exceeded'],
  ['TOO_MANY',      429, 8,  'PIT-429', 'debug', 'too many messages; slow down'],
  ['BACKEND_ERROR', 500, 13, 'PIT-500', 'warn',  'the backend failed'],
  ['INTERNAL',      500, 13, 'PIT-500', 'error', 'the gateway failed'],
  ['UNSUPPORTED',   501, 12, 'PIT-501', 'debug', 'not supported by this gateway'],
  ['BAD_REPLY',     502, 13, 'PIT-502', 'error', 'the backend\'s answer could not be read'],
  ['BACKEND_AWAY',  503, 14, 'PIT-503', 'warn',  'the backend is unavailable; try again'],
  ['BUS_AWAY',      503, 14, 'PIT-503', 'warn',  'the bus is unavailable; try again'],
  ['NO_KEYS',       503, 14, 'PIT-503', 'warn',  'tokens cannot be verified now; try again'],
  ['OVERLOADED',    503, 14, 'PIT-503', 'warn',  'too much is in flight; try again'],
  ['MAINTENANCE',   503, 14, 'PIT-503', 'debug', 'closed for maintenance; try again later'],
  ['DRAINING',      503, 14, 'PIT-503', 'debug', 'this gateway is stopping; connect again'],
  ['TIMEOUT',       504, 4,  'PIT-504', 'warn',  'the backend did not answer in time'],
];

test('the reasons are these and no others', () => {
  expect(Object.keys(REASONS)).toEqual(ROWS.map(([reason]) => reason));
});

/** The message in an encoded packet, without its flag and its id of one byte. */
function bodyOf(encoded: Buffer | null): unknown {
  return JSON.parse(encoded!.subarray(packetOffset(encoded!) + 6).toString());
}

test.each<readonly [what: string, value: object]>([
  ['bytes', Buffer.from('{"code":500}')],
  [
    'a close, which has a reason and a code too',
    { reason: 'r', code: 7, kick: false, retryAfterMs: 5 },
  ],
  [
    'a change that says more than it must',
    { changed: 1, version: 2, reason: 'bound', code: 0, message: '' },
  ],
])('a failure is told from %s', (_what, value) => {
  expect(isFailure(value)).toBe(false);
  expect(isFailure(failure('CLOSING'))).toBe(true);
});

describe('a request that fails', () => {
  test.each(ROWS)('for %s: the client is told %i', (reason, code, _grpc, pitayaCode, log, msg) => {
    expect(failure(reason)).toMatchObject({ code, reason, message: msg });
    expect(REASONS[reason].log).toBe(log);
    expect(bodyOf(POMELO.wire.failure(1, 'a.b.c', failure(reason)))).toEqual({ code, reason, msg });
    const pitaya = new PitayaDialect({
      ...{ heartbeatSeconds: 30, dictionary: null, serializer: 'json', compress: false },
      inflateBytesMax: 1_024,
    });
    expect(bodyOf(pitaya.wire.failure(1, 'a.b', failure(reason)))).toEqual({
      code: pitayaCode,
      msg,
      metadata: { reason },
    });
  });

  // What a backend's own code means where it gives no reason.
  test.each<readonly [code: number, reason: Reason]>([
    [400, 'BAD_BODY'],
    [401, 'NOT_BOUND'],
    [403, 'FORBIDDEN'],
    [404, 'NO_ROUTE'],
    [409, 'CONFLICT'],
    [413, 'TOO_LARGE'],
    [429, 'TOO_MANY'],
    [500, 'BACKEND_ERROR'],
    [501, 'UNSUPPORTED'],
    [502, 'BAD_REPLY'],
    [503, 'BACKEND_AWAY'],
    [504, 'TIMEOUT'],
    [7, 'BACKEND_ERROR'],
    [402, 'BACKEND_ERROR'],
    [505, 'BACKEND_ERROR'],
  ])('with the code %i alone is %s', (code, reason) => {
    expect(reasonOfCode(code)).toBe(reason);
  });
});

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CONTROL = 'pith.v1.Control';
const definition = loadSync('pith/v1/control.proto', { includeDirs: [`${ROOT}proto`] })[
  CONTROL
] as ServiceDefinition;

/** Control with one method, which fails for `reason`. */
function controlThat(reason: Reason) {
  const { log, lines } = keptLog();
  const logged = () => lines.map(({ err }) => (err as { reason: string }).reason);
  const methods: Methods = {
    GetInfo: {
      streams: false,
      run() {
        return Promise.reject(new GatewayError(reason));
      },
    },
  };
  const api = new JsonApi({
    methods,
    access: openAccess(log),
    log,
    clock: systemClock,
    service: CONTROL,
    definitions: definition,
  });
  return { methods, log, logged, api };
}

type Asked = { method?: string; path?: string; host?: string; body?: string | Buffer };

/** The status with which the API answers. */
async function statusOf(api: JsonApi, asked: Asked = {}): Promise<number> {
  const { method = 'POST', path = '/v1/GetInfo', host = '127.0.0.1', body = '' } = asked;
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { method, url: path, headers: { host } });
  if (body.length > 0) request.push(body);
  request.push(null);
  const response = new ServerResponse(request);
  api.handle(request, response, () => {});
  while (!response.writableEnded) await turn();
  return response.statusCode;
}

describe('a call of Control that fails', () => {
  test.each(ROWS)(
    'for %s: HTTP %i, gRPC %i',
    async (reason, status, grpc, _pitaya, level, message) => {
      const { api, methods, log, logged } = controlThat(reason);
      expect(await statusOf(api)).toBe(status);
      const handlers = grpcHandlers(definition, methods, {
        log,
        clock: systemClock,
        callerOf: () => ANYBODY,
      });
      const handle = handlers['GetInfo'] as (call: object, done: (why: object) => void) => void;
      const why = await new Promise<object>((resolve) => {
        handle({ request: Buffer.alloc(0) }, resolve);
      });
      expect(why).toEqual({ code: grpc, details: `${reason}: ${message}` });
      expect(logged()).toEqual(level === 'error' ? [reason, reason] : []);
    },
  );

  test('that is not served: gRPC 12', async () => {
    const { methods, log } = controlThat('TIMEOUT');
    const handlers = grpcHandlers(definition, methods, {
      log,
      clock: systemClock,
      callerOf: () => ANYBODY,
    });
    const handle = handlers['Bind'] as (call: object, done: (why: object) => void) => void;
    const why = await new Promise<object>((resolve) => {
      handle({ request: Buffer.alloc(0) }, resolve);
    });
    expect(why).toMatchObject({ code: 12 });
  });

  test.each<readonly [what: string, status: number, asked: Asked]>([
    ['a body that is no JSON', 400, { body: '{' }],
    ['a body that is no object', 400, { body: '[]' }],
    ['a field that there is not', 400, { body: '{"x":1}' }],
    ['a name for a host', 403, { host: 'evil.example' }],
    ['no such method', 404, { path: '/v1/Nothing' }],
    ['GET', 405, { method: 'GET' }],
    ['more than 4 MiB', 413, { body: Buffer.alloc(4_194_305, ' ') }],
    ['a method of a later release', 501, { path: '/v1/Drain' }],
  ])('over HTTP for %s: %i', async (_what, status, asked) => {
    expect(await statusOf(controlThat('TIMEOUT').api, asked)).toBe(status);
  });

  test('over HTTP, one of 65 at once: 503', async () => {
    const { api } = controlThat('TIMEOUT');
    const statuses = await Promise.all(Array.from({ length: 65 }, () => statusOf(api)));
    expect(statuses.map(String).join(' ')).toBe(`${'504 '.repeat(64)}503`);
  });
});
