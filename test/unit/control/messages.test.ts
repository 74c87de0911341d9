/** Control's messages as bytes. They are those of a library that knows the .proto files. */
import { describe, expect, test } from 'vitest';

import { encodePushed } from '../../../src/contract/gateway-frames.ts';
import type { Json, JsonObject } from '../../../src/contract/commands.ts';
import { decodeStruct } from '../../../src/contract/struct.ts';
import { WireReader } from '../../../src/contract/protobuf-wire.ts';
import { infoMessage, kickResult, sessionMessage } from '../../../src/control/answers.ts';
import type { Asked } from '../../../src/control/method.ts';
import { readRequest, type Request } from '../../../src/control/requests.ts';
import { controlMethods } from '../../../src/control/service.ts';
import type { FleetCommands } from '../../../src/bus/fleet-commands.ts';
import { failure, GatewayError } from '../../../src/errors.ts';
import { rawNumber } from '../../../src/protocol/exact-json.ts';
import { ManualClock } from '../../support/clock.ts';
import { ANYBODY, openAudit } from '../../support/open-access.ts';
import { keptLog } from '../../support/report.ts';

const NO_TARGET = { sids: [], uids: [], groups: [], exceptSids: [], exceptUids: [] };

function read(method: string, hex: string, bytesMax = 1_048_576): Request {
  return readRequest(method, Buffer.from(hex, 'hex'), bytesMax);
}

describe('a request', () => {
  // oxfmt-ignore
  test.each<readonly [method: string, hex: string, request: Request]>([
    [
      'Push',
      '0a310a151201753a100a0e0a0161120911000000000000f03f12036f6e581a041a027b7d20022a016b320808011080cab5ee0112051080e59a77',
      {
        push: {
          target: { ...NO_TARGET, uids: ['u'], where: { a: 1 } },
          route: 'onX', body: Buffer.from('{}'), delivery: 'latest', latestKey: 'k', expiresInMs: 1_500, afterReply: false,
        },
        waitMs: 250,
      },
    ],
    [
      'Kick',
      '0a070a03672e31400112140a0362796510f9ffffffffffffffff0122020802',
      {
        target: { ...NO_TARGET, sids: ['g.1'], local: true },
        close: { reason: 'bye', code: -7, kick: false, retryAfterMs: 2_000 },
      },
    ],
    ['Bind', '0a03672e3112047a6fc3ab', { sid: 'g.1', uid: 'zoë' }],
    ['Unbind', '0a03672e31', { sid: 'g.1' }],
    ['SetData', '0a03672e3112090a070a0161120208001803', { sid: 'g.1', set: { a: null }, ifVersion: 3 }],
    ['GetSession', '0a03672e31', { sid: 'g.1' }],
    [
      'ListSessions',
      '0a061a017232017510051a03672e39',
      { target: { ...NO_TARGET, groups: ['r'], exceptUids: ['u'] }, limit: 5, pageToken: 'g.9' },
    ],
    ['GetInfo', '', {}],
    ['GetSession', '', {}],
    // Fields of a newer contract.
    ['GetSession', '0a03672e31fa0601789207021234', { sid: 'g.1' }],
    ['GetInfo', '0a03672e31', {}],
  ])('%s %s', (method, hex, request) => {
    expect(read(method, hex)).toEqual(request);
  });

  test.each<readonly [what: string, method: string, hex: string, why: string]>([
    ['cut off', 'GetSession', '0a05672e', 'field 1 is cut off'],
    ['of another wire type', 'GetSession', '0801', 'field 1 has wire type 0, not 2'],
    ['with NaN in its data', 'SetData', '12100a0e0a0161120911000000000000f87f', 'set.a is NaN'],
    [
      'with infinity in its target',
      'Kick',
      '0a123a100a0e0a0161120911000000000000f07f',
      'where.a is Infinity',
    ],
    // Of 0s: with the standard wait, by the route's timeout, and closing everybody at once.
    ['with a negative wait', 'Push', '120b08fbffffffffffffffff01', 'wait is negative'],
    ['with a negative timeout', 'Call', '2a0b08fbffffffffffffffff01', 'timeout is negative'],
    ['with a negative budget', 'Drain', '0a0b08fbffffffffffffffff01', 'budget is negative'],
  ])('%s is refused', (_what, method, hex, why) => {
    expect(() => read(method, hex)).toThrow(GatewayError);
    expect(() => read(method, hex)).toThrow(`the request cannot be read: ${why}`);
  });

  test('of a push whose time is over does not let it wait for ever', () => {
    expect(read('Push', '0a0d320b08fbffffffffffffffff01').push).toMatchObject({
      fault: 'push.expires_in is negative',
    });
  });

  test('with more to convert than is allowed is refused', () => {
    const hex = '0a03672e3112090a070a0161120208001803';
    expect(() => read('SetData', hex, 8)).toThrow(
      'the request cannot be read: set has 9 bytes to convert; limits.convert allows 8',
    );
    expect(read('SetData', hex, 64).set).toEqual({ a: null });
  });

  test('is bound by limits.convert where it was not measured before', async () => {
    const patches: object[] = [];
    const patch = (sid: string, change: object) => {
      patches.push({ sid, change });
      return Promise.resolve(failure('NO_SESSION'));
    };
    const fleetCommands = { patch } as unknown as FleetCommands;
    const { SetData } = controlMethods({
      audit: openAudit(keptLog().log),
      fleetCommands,
      clock: new ManualClock(),
      own: null!,
      orders: null!,
      status: null!,
      fleetWatches: null!,
      mayShowBodies: null!,
      convertBytesMax: 8,
    });
    const request = Buffer.from('0a03672e3112090a070a0161120208001803', 'hex');
    const run = SetData!.run as (request: Buffer, asked: Asked) => Promise<Buffer>;
    const caller = ANYBODY;
    await expect(run(request, { caller })).rejects.toMatchObject({ reason: 'BAD_ARGUMENT' });
    expect(patches).toEqual([]);
    await expect(run(request, { caller, convertBytesMax: Infinity })).rejects.toMatchObject({
      reason: 'NO_SESSION',
    });
    expect(patches).toEqual([{ sid: 'g.1', change: { set: { a: null }, ifVersion: 3 } }]);
  });
});

describe('an answer', () => {
  test('of Push', () => {
    const outcome = {
      ...{ delivered: 1, dropped: 2, refused: 3, gateways: 4, kept: 5 },
      ...{ unknownUids: ['u'], unknownSids: ['s'], silentGateways: ['g'] },
    };
    expect(encodePushed(outcome).toString('hex')).toBe('08011002180320042a01753201733a01674805');
  });

  test('of Kick', () => {
    const result = { closed: 1, gateways: 2, silentGateways: ['g'] };
    expect(kickResult(result).toString('hex')).toBe('080110021a0167');
  });

  test('of GetInfo', () => {
    const backend = { name: 'b', kind: 'grpc', addresses: 2, healthy: 1, inFlight: 9 };
    const info = { gateway: 'g', version: '1', state: 'serving', sessions: 300, bus: 'nats' };
    const whole = {
      ...{ ...info, backends: [backend], maintenance: false, uptimeMs: 1_500 },
      ...{ logLevel: 'info', logLevelUntilWall: 1_500 },
    };
    const bytes =
      '0a01671201311a0773657276696e6720ac022a046e617473320f0a01621204677270631802200128093a0808011080cab5ee014a04696e666f520808011080cab5ee01';
    expect(infoMessage(whole, []).toString('hex')).toBe(bytes);
    const row = { gateway: 'g', state: 'ready', sessions: 3, pid: 5 };
    expect(infoMessage(whole, [{ worker: 2, ...row }]).toString('hex')).toBe(
      `${bytes}5802621008021201671a05726561647920032805`,
    );
  });

  const SESSION = {
    ...{ sid: 'g.1', uid: 'u', gateway: 'g', remote_ip: '::1', client_type: 'js' },
    ...{ client_version: '2', opened_at: '2026-01-02T03:04:05.678Z', data: { a: 1 } },
    ...{ version: '7', groups: ['x'], transport: 'ws', dialect: 'pomelo' },
  };

  test('that is a session', () => {
    expect(sessionMessage(SESSION).toString('hex')).toBe(
      '0a03672e311201751a016722033a3a312a026a733201323a0c08a5ebdcca061080eba5c30242100a0e0a0161120911000000000000f03f48075201785a0277736206706f6d656c6f',
    );
  });

  test('that is a session with a uid', () => {
    const bound = sessionMessage({ ...SESSION, bound_at: '2026-01-02T03:05:00.000Z' });
    expect(bound.toString('hex')).toMatch(/706f6d656c6f6a0608dcebdcca06$/);
  });

  test('whose data no Struct can hold shows it', () => {
    const data = {
      big: rawNumber('12345678901234567890') as unknown as Json,
      'half \ud83c': ['\udf88', rawNumber('1.50') as unknown as Json],
    };
    const reader = new WireReader(sessionMessage({ ...SESSION, data }));
    let shown: JsonObject = {};
    while (reader.next()) {
      if (reader.field === 8) shown = decodeStruct(reader.message());
      else reader.skip();
    }
    expect(shown).toEqual({ big: '12345678901234567890', 'half \ufffd': ['\ufffd', 1.5] });
  });
});
