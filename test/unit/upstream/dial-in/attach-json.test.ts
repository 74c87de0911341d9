/** Frames as JSON: what a Link makes of them, and how a Link's own read. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { WireWriter } from '../../../../src/contract/wire.ts';
import { AttachJson } from '../../../../src/control/attach-json.ts';
import type { Json, JsonObject } from '../../../../src/session/commands.ts';
import { decodeReply, readToGateway } from '../../../../src/upstream/grpc/backend-frames.ts';
import { encodeStruct } from '../../../../src/contract/struct.ts';
import type { Reply } from '../../../../src/upstream/upstream.ts';

const json = new AttachJson();
const ignore = (): void => {};

/** The replies in a text, as a Link reads them. */
function replies(text: string): (Uint8Array | Reply)[] {
  const found: (Uint8Array | Reply)[] = [];
  readToGateway(json.toGateway(text), {
    convertBytesMax: 1_048_576,
    onHello: ignore,
    onReply: (_, reader) => void found.push(decodeReply(reader, 1_048_576)),
    onConnect: ignore,
    onPush: ignore,
    onVerb: ignore,
    onCredit: ignore,
    onGoaway: ignore,
    onExtend: ignore,
  });
  return found;
}

const reply = (of: object): string => JSON.stringify({ frames: [{ id: 1, reply: of }] });

describe('from a backend', () => {
  test('any JSON value as a body is that value for the client', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const [body] = replies(reply({ body: { json: value } }));
        const sent = JSON.parse(JSON.stringify(value)) as Json;
        expect(JSON.parse(Buffer.from(body as Uint8Array).toString())).toEqual(sent);
      }),
      { numRuns: 100 },
    );
  });

  test('any bytes as a body are those bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const [body] = replies(
          reply({ body: { bytes: Buffer.from(bytes).toString('base64') }, unknown: [1] }),
        );
        expect(Buffer.from(body as Uint8Array)).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 50 },
    );
  });

  test('the rest of a reply, by either name', () => {
    const more = { patch: { uid: 'u', set: { a: null }, if_version: '7' }, close: { code: 4 } };
    const [one] = replies(reply(more));
    const camel = reply(more).replace('if_version', 'ifVersion');
    expect(one).toMatchObject({ patch: { uid: 'u', set: { a: null }, ifVersion: 7 } });
    expect(replies(camel)).toEqual([one]);
  });

  test('no text does more than throw one kind of error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.json().map(inFrames)), (text) => {
        expect(errorOf(text)).toMatch(/^$|^AttachJsonError: ./);
      }),
      { numRuns: 200 },
    );
  });
});

/** '' where there is none. */
function errorOf(text: string): string {
  try {
    json.toGateway(text);
    return '';
  } catch (error) {
    return `${(error as Error).constructor.name}: ${(error as Error).message}`;
  }
}

const inFrames = (text: string): string => `{"frames":[{"id":1,"reply":${text}}]}`;

describe('to a backend', () => {
  test('any bodies, each in its frame', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.uint8Array()), { maxLength: 5 }), (bodies) => {
        const message = new WireWriter();
        for (const body of bodies) {
          const frame = new WireWriter();
          const request = new WireWriter();
          if (body !== null && body.length > 0) request.bytes(4, body);
          frame.bytes(body === null ? 6 : 3, request.take());
          message.bytes(1, frame.take());
        }
        const { frames } = JSON.parse(json.toBackend(message.take())) as {
          frames: { cancel?: object; request?: { body: string } }[];
        };
        const read = frames.map(({ cancel, request }) =>
          cancel === undefined ? Buffer.from(request!.body, 'base64') : null,
        );
        expect(read).toEqual(bodies.map((body) => body && Buffer.from(body)));
      }),
      { numRuns: 50 },
    );
  });

  test('data nested as deep as a backend gets it', () => {
    let data: JsonObject = { end: 1 };
    for (let i = 0; i < 31; i++) data = { a: data };
    const session = new WireWriter();
    session.bytes(8, encodeStruct(data));
    const request = new WireWriter();
    request.bytes(1, session.take());
    const frame = new WireWriter();
    frame.bytes(3, request.take());
    const message = new WireWriter();
    message.bytes(1, frame.take());
    expect(JSON.parse(json.toBackend(message.take()))).toMatchObject({
      frames: [{ id: 0, request: { session: { data }, seq: '0', notify: false } }],
    });
  });
});
