import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { encodeStruct } from '../../../src/contract/struct.ts';
import { encodeMs, WireWriter } from '../../../src/contract/protobuf-wire.ts';
import { failure } from '../../../src/errors.ts';
import type { JsonObject } from '../../../src/contract/commands.ts';
import * as frames from '../../../src/contract/gateway-frames.ts';
import { connect } from '../session/support.ts';
import {
  bytes,
  decodeRequest,
  decodeToBackend,
  fromDuration,
  fromStruct,
  jsonObjects,
  text,
  uint32,
} from './reference.ts';

/** What a conformant backend reads of what `write` wrote. */
function read(write: (writer: WireWriter) => void) {
  const writer = new WireWriter(16);
  write(writer);
  return decodeToBackend(writer.take());
}

function sessionBytes(data: JsonObject | null = null): Buffer {
  return frames.encodeSession(connect().session, data);
}

const REQUEST: frames.RequestFields = {
  route: 'chat.room.join',
  wantsAnswer: true,
  body: Buffer.from('{"a":1}'),
  seq: 7,
  instance: '',
  trace: null,
};
const NO_SESSION = Buffer.alloc(0);
/** The same with a session, as Handle is sent it. */
const requestOf = (session: Buffer): Buffer => frames.encodeRequest(REQUEST, session, 5_000);

const requests = fc.record({
  route: fc.stringMatching(/^[A-Za-z0-9_.-]{1,127}$/),
  wantsAnswer: fc.boolean(),
  body: bytes,
  seq: fc.maxSafeNat(),
  instance: text,
  trace: fc.option(
    fc.record({
      traceparent: fc.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
      tracestate: fc.stringMatching(/^[a-z0-9=,]{0,300}$/),
    }),
  ),
});

/** The fields of a request that were sent, as they are read. */
function fieldsOf(
  { route, wantsAnswer, body, seq, instance, trace }: frames.RequestFields,
  timeoutMs: number,
) {
  const { traceparent, tracestate } = trace ?? { traceparent: '', tracestate: '' };
  const headers = {
    ...(traceparent !== '' && { traceparent }),
    ...(tracestate !== '' && { tracestate }),
  };
  const said = { route, notify: !wantsAnswer, body: Buffer.from(body), seq, to: instance };
  return { ...said, timeout_ms: timeoutMs, headers };
}

describe('a request frame', () => {
  test('is read alike, alone and among others, on a Link and by Handle', () => {
    const session = sessionBytes();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(uint32, requests, uint32), { minLength: 1, maxLength: 4 }),
        (sent) => {
          const got = read((writer) => {
            for (const [id, request, leftMs] of sent) {
              frames.writeRequestFrame(writer, id, request, session, leftMs);
            }
          });
          expect(got).toHaveLength(sent.length);
          for (const [i, [id, request, leftMs]] of sent.entries()) {
            const fields = fieldsOf(request, leftMs);
            expect(got[i]).toMatchObject({ id, frame: 'request', request: fields });
            const alone = decodeRequest(frames.encodeRequest(request, session, leftMs));
            expect(alone).toMatchObject(fields);
          }
        },
      ),
    );
  });

  test.each([0, 1, 127, 128, 16_383, 16_384, 65_535, 65_536, 2_097_151, 2_097_152, 5_000_000])(
    'keeps a body of %d bytes whole, and the frame behind it',
    (size) => {
      const body = Buffer.alloc(size, 'pith');
      const got = read((writer) => {
        frames.writeRequestFrame(writer, 0xffff_ffff, { ...REQUEST, body }, NO_SESSION, 5_000);
        frames.writeCancel(writer, 9);
      });
      expect(got.map(({ id, frame }) => `${id} ${String(frame)}`)).toEqual([
        '4294967295 request',
        '9 cancel',
      ]);
      expect(body.equals((got[0]!['request'] as { body: Buffer }).body)).toBe(true);
    },
  );

  test('with nothing in it is still a request', () => {
    const empty = { ...REQUEST, route: '', wantsAnswer: false, body: Buffer.alloc(0), seq: 0 };
    const [got] = read((writer) => {
      frames.writeRequestFrame(writer, 0, empty, NO_SESSION, 0);
    });
    expect(got).toMatchObject({ id: 0, request: fieldsOf(empty, 0) });
  });

  test('names an instance in any script', () => {
    const [got] = read((writer) => {
      const named = { ...REQUEST, instance: 'zoë-你好-😀' };
      frames.writeRequestFrame(writer, 1, named, NO_SESSION, 5_000);
    });
    expect(got).toMatchObject({ request: { to: 'zoë-你好-😀', body: REQUEST.body } });
  });
});

describe('a session', () => {
  test('is read with all its facts', () => {
    const { clock, session } = connect({ n: 12 });
    session.uid = 'zoë';
    session.clientType = 'js';
    session.clientVersion = '1.2';
    session.version = 2 ** 40;
    const encoded = frames.encodeSession(session, { room: 1 });
    const got = decodeRequest(requestOf(encoded));
    const read = got['session'] as Record<string, unknown>;
    expect(read).toMatchObject({
      sid: 'g-0123456789.12',
      uid: 'zoë',
      gateway: 'g-0123456789',
      remote_ip: '192.0.2.7',
      client_type: 'js',
      client_version: '1.2',
      version: 2 ** 40,
      groups: [],
      transport: 'tcp',
      dialect: 'pomelo',
    });
    expect(fromDuration(read['opened_at'])).toBe(clock.wallNow());
    expect(fromStruct(read['data'])).toEqual({ room: 1 });
  });

  test('without forwarded data has none, which is not the same as empty data', () => {
    const dataOf = (data: JsonObject | null) => {
      const got = decodeRequest(requestOf(sessionBytes(data)));
      return (got['session'] as { data: unknown }).data;
    };
    expect(dataOf(null)).toBeNull();
    expect(dataOf({})).toEqual({ fields: {} });
  });

  test('has data of every kind that JSON knows', () => {
    const data = {
      none: null,
      yes: true,
      no: false,
      zero: 0,
      minus: -1.5e300,
      text: 'zoë 😀',
      empty: '',
      list: [1, [], [null, { x: [] }]],
      map: { '': {}, nested: { a: 'b' } },
    };
    const got = decodeRequest(requestOf(sessionBytes(data)));
    expect(fromStruct((got['session'] as { data: unknown }).data)).toEqual(data);
  });

  test('has the same data for both sides, whatever it is', () => {
    fc.assert(
      fc.property(jsonObjects, (data) => {
        const request = requestOf(sessionBytes(data));
        const got = decodeRequest(request)['session'] as { data: unknown };
        expect(fromStruct(got.data)).toEqual(data);
      }),
    );
  });
});

describe('the other frames', () => {
  test('hello, cancel and goaway', () => {
    fc.assert(
      fc.property(text, text, uint32, (gateway, words, id) => {
        const got = read((writer) => {
          frames.writeHello(writer, gateway, words);
          frames.writeCancel(writer, id);
          frames.writeGoaway(writer, words);
        });
        expect(got).toMatchObject([
          { id: 0, frame: 'hello', hello: { gateway, version: words, features: [] } },
          { id, frame: 'cancel', cancel: {} },
          { id: 0, frame: 'goaway', goaway: { reason: words } },
        ]);
      }),
    );
  });

  test('pushed, with every count and list', () => {
    const names = fc.array(text, { maxLength: 4 });
    const counts = fc.record({
      delivered: uint32,
      dropped: uint32,
      refused: uint32,
      gateways: uint32,
      kept: uint32,
      unknownUids: names,
      unknownSids: names,
      silentGateways: names,
    });
    fc.assert(
      fc.property(uint32, counts, (id, fields) => {
        const { unknownUids, unknownSids, silentGateways, ...numbers } = fields;
        const [got] = read((writer) => {
          frames.writePushed(writer, id, fields);
        });
        const lists = {
          unknown_uids: unknownUids,
          unknown_sids: unknownSids,
          silent_gateways: silentGateways,
        };
        expect(got).toMatchObject({ id, frame: 'pushed', pushed: { ...numbers, ...lists } });
      }),
    );
  });

  test('pushed, refused', () => {
    const counts = { delivered: 0, dropped: 0, refused: 0, gateways: 0, kept: 0 };
    const names = { unknownUids: [], unknownSids: [], silentGateways: [] };
    const [got] = read((writer) => {
      frames.writePushed(writer, 3, { ...counts, ...names, failure: failure('TOO_LARGE', 'so') });
    });
    expect(got).toMatchObject({
      id: 3,
      pushed: { gateways: 0, error: { code: 413, reason: 'TOO_LARGE', message: 'so' } },
    });
  });

  test('done, with an error and without', () => {
    const why = { ...failure('CONFLICT', 'zoë was here'), code: -409 };
    const got = read((writer) => {
      frames.writeDone(writer, 3, { changed: 2, version: 2 ** 50, failure: null });
      frames.writeDone(writer, 4, { changed: 0, version: 0, failure: why });
    });
    expect(got).toMatchObject([
      { id: 3, done: { changed: 2, version: 2 ** 50, error: null } },
      {
        id: 4,
        done: {
          changed: 0,
          version: 0,
          error: { code: -409, reason: 'CONFLICT', message: 'zoë was here' },
        },
      },
    ]);
  });
});

describe('the writer', () => {
  test('gives bytes that later writing leaves alone', () => {
    const writer = new WireWriter(8);
    writer.text(1, 'first');
    const first = writer.take();
    const copy = Buffer.from(first);
    writer.text(1, 'x'.repeat(1_000));
    expect(first).toEqual(copy);
    expect(writer.length).toBe(1_003);
  });

  test('writes whole milliseconds', () => {
    expect(encodeMs(0)).toHaveLength(0);
    expect(encodeMs(1_234.9)).toEqual(encodeMs(1_234));
  });

  test('refuses data that is nested too deep for anybody to read it', () => {
    let deep: JsonObject = {};
    for (let i = 0; i < 100; i++) deep = { deep };
    expect(() => encodeStruct(deep)).toThrow(/nested deeper/);
  });
});
