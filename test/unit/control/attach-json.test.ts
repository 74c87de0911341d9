/** Frames as JSON: what a Link makes of them, and how a Link's own read. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { WireWriter } from '../../../src/contract/protobuf-wire.ts';
import { AttachJson, type RefusedFrame } from '../../../src/control/attach-json.ts';
import type { Json, JsonObject, Reply } from '../../../src/contract/commands.ts';
import { readToGateway } from '../../../src/contract/backend-frames.ts';
import { decodeReply } from '../../../src/contract/protobuf-shapes.ts';
import { encodeStruct } from '../../../src/contract/struct.ts';

const json = new AttachJson();
const ignore = (): void => {};

/** What all turns of a message come to. */
function converted(text: string): { bytes: Buffer; refused: RefusedFrame[] } {
  const frames = json.open(Buffer.from(text));
  const parts: Buffer[] = [];
  const refused: RefusedFrame[] = [];
  do {
    const turn = json.toGateway(frames);
    parts.push(turn.bytes);
    refused.push(...turn.refused);
  } while (!frames.isAtEnd);
  return { bytes: Buffer.concat(parts), refused };
}

/** The replies in a text, as a Link reads them. */
function replies(text: string): (Uint8Array | Reply)[] {
  const found: (Uint8Array | Reply)[] = [];
  readToGateway(converted(text).bytes, {
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

describe('what passes is what came', () => {
  const AWKWARD =
    '{"i":9007199254740993,"e":1e400,"z":-0,"f":1.0, "2":1,"1":2,"s":"\\ud800😀","__proto__":{"n":1E+2}}';
  const said = (text: string): string[] =>
    replies(text).map((one) => Buffer.from(one as Uint8Array).toString());

  test.each([AWKWARD, '9007199254740993', '[1.0]', 'null', '{"json":{"body":1}}'])(
    'as the body of an answer: %s',
    (body) => {
      expect(said(`{"frames":[{"id":1,"reply":{"body":{ "json" : ${body} }}}]}`)).toEqual([body]);
    },
  );

  test('a text alone is escaped, as every client reads it', () => {
    expect(said(`{"frames":[{"reply":{"body":{"json":"😀"}}}]}`)).toEqual(['"\\ud83d\\ude00"']);
  });

  test('as the body of an error, and of each push, beside bodies in other forms', () => {
    const pushes = `[{"route":"a","body":{"json":${AWKWARD}}},{"route":"b","body":{"text":"t"}},{"route":"c","body":{"json":[-0]}}]`;
    const [one] = replies(
      `{"frames":[{"id":1,"reply":{"pushes":${pushes},"error":{"code":402,"body":{"json":1.50}}}}]}`,
    ) as Reply[];
    expect(one!.pushes.map(({ body }) => Buffer.from(body).toString())).toEqual([
      AWKWARD,
      't',
      '[-0]',
    ]);
    expect(Buffer.from(one!.failure!.bytes!).toString()).toBe('1.50');
  });

  test('many bytes of it too', () => {
    const body = `[${'1.0,'.repeat(500_000)}2]`;
    expect(said(`{"frames":[{"id":1,"reply":{"body":{"json":${body}}}}]}`)).toEqual([body]);
  });
});

describe('a frame that cannot be read', () => {
  const neighbour = '{"id":2,"reply":{"body":{"text":"ok"}}}';
  const large = 'x'.repeat(1_048_576);

  test.each([
    [
      '{"patch":{"set":{"guild":1234567890123456789}}}',
      'reply.patch.set.guild: 1234567890123456789 does not fit a double',
    ],
    ['{"close":{"retry_after":"1sx"}}', 'reply.close.retry_after: "1sx" is not a duration'],
    [`{"body":{"text":"${large}"}}`, 'limits.convert allows 1048576'],
  ])('as an answer fails its request alone: %.40s', (reply, words) => {
    const [bad, good] = replies(`{"frames":[{"id":1,"reply":${reply}},${neighbour}]}`);
    expect(bad).toMatchObject({
      failure: { code: 502, message: expect.stringContaining(words) as string },
    });
    expect(Buffer.from(good as Uint8Array).toString()).toBe('ok');
  });

  test.each([
    ['push', '{"target":{"all":true,"where":{"n":1e400}},"route":"r"}'],
    ['verb', '{"target":{"uids":["u"]},"patch":{"set":{"n":9007199254740993}}}'],
    ['push', `{"target":{"all":true},"route":"r","body":{"text":"${large}"}}`],
  ])('as a %s is left out, and named', (kind, frame) => {
    const text = `{"frames":[{"id":7,"${kind}":${frame}},${neighbour}]}`;
    const { refused } = converted(text);
    expect(refused).toEqual([
      { id: 7, kind, why: expect.stringMatching(/^frames\[0\]: /) as string },
    ]);
    expect(replies(text)).toHaveLength(1);
  });
});

/** '' where there is none. */
function errorOf(text: string): string {
  try {
    converted(text);
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
