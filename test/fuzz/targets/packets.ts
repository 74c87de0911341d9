/** What comes from clients below the dialects: packets, messages of the json dialect, messages in packets, strings. */
import fc from 'fast-check';

import {
  decodeMessage,
  encodeNotify,
  encodePush,
  encodeRequest,
  encodeResponse,
  idOfRaw,
  Message,
  MessageKind,
  rawIdOf,
} from '../../../src/protocol/message.ts';
import {
  encodePacket,
  PACKET_HEAD_BYTES,
  packetOffset,
  PacketType,
} from '../../../src/protocol/packet.ts';
import { PacketReader } from '../../../src/protocol/packet-reader.ts';
import { TextReader } from '../../../src/protocol/text-reader.ts';
import {
  beginsAsJson,
  bodyForClient,
  bodyFromClient,
  cesu8,
  escapeAstral,
  textFromClient,
  utf8FromClient,
} from '../../../src/protocol/text.ts';
import {
  browserProtocol,
  pinusProtocol,
  pomeloProtocol,
} from '../../unit/protocol/fuzz/references.ts';
import { chanceOf, waysToCut } from '../cuts.ts';
import { anyText } from '../fresh.ts';
import { check, same, type Target } from '../target.ts';

const BODY_MAX = 256;

type Read = { packets: [type: number, body: string][]; fault: string | null; held: number };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What the protocol page says: type, 24 bits of length, body; padded: one to three zeros behind a packet are nothing. */
function expectedPackets(input: Buffer, isPadded: boolean): Read {
  const packets: Read['packets'] = [];
  let at = 0;
  const pad = (): void => {
    let zeros = 0;
    while (input[at + zeros] === 0) zeros++;
    if (isPadded && zeros < PACKET_HEAD_BYTES) at += zeros;
  };
  pad();
  while (input.length - at >= PACKET_HEAD_BYTES) {
    const type = input[at]!;
    const length = input.readUIntBE(at + 1, 3);
    if (type < 1 || type > 5) return { packets, fault: 'bad_packet_type', held: 0 };
    if (length > BODY_MAX) return { packets, fault: 'packet_too_long', held: 0 };
    if (input.length - at - PACKET_HEAD_BYTES < length) break;
    packets.push([
      type,
      hex(input.subarray(at + PACKET_HEAD_BYTES, at + PACKET_HEAD_BYTES + length)),
    ]);
    at += PACKET_HEAD_BYTES + length;
    pad();
  }
  return { packets, fault: null, held: input.length - at };
}

function readPackets(
  pieces: readonly Buffer[],
  isPadded: boolean,
  hold: (n: number) => boolean,
): Read {
  const packets: Read['packets'] = [];
  const reader: PacketReader = new PacketReader(
    BODY_MAX,
    (type, body) => {
      packets.push([type, hex(body)]);
      if (hold(packets.length)) reader.hold();
    },
    isPadded,
  );
  let fault: string | null = null;
  for (const [i, piece] of pieces.entries()) {
    fault = reader.push(piece);
    if (i % 3 === 2) fault = reader.release();
  }
  // One packet may be held at each.
  for (let i = packets.length; i <= packets.length + 1; i++) fault = reader.release() ?? fault;
  return { packets, fault, held: fault === null ? reader.heldBytes : 0 };
}

const packets: Target = {
  name: 'packets',
  drives: ['protocol/packet-reader.ts PacketReader'],
  // In ten ways, of which one is byte by byte.
  allocated: { perByte: 2_000 },
  forms: ['packets', 'bytes'],
  seeds: [
    Buffer.from('0100000d7b22737973223a7b7d7d7b7d0200000003000000', 'hex'),
    Buffer.from('04000005000161627b0000000300000000', 'hex'),
    Buffer.from('0400012d', 'hex'),
    Buffer.from('0600000000', 'hex'),
    Buffer.from('0300000003000000030000000300000005000002aabb', 'hex'),
  ],
  fresh: fc
    .array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.uint8Array({ maxLength: 310 })), {
      maxLength: 6,
    })
    .map((list) =>
      Buffer.concat(
        list.map(([type, body]) => {
          const whole = encodePacket(type as PacketType, body)!;
          return whole.subarray(packetOffset(whole));
        }),
      ),
    ),
  run(input) {
    for (const isPadded of [false, true]) {
      const expected = expectedPackets(input, isPadded);
      for (const pieces of waysToCut(input)) {
        // With padding, zeros that are three of four so far may be padding or not: they are skipped at once.
        const isWhole = pieces.length <= 1;
        if (isPadded && !isWhole) continue;
        same(
          readPackets(pieces, isPadded, () => false),
          expected,
          'packets are those of the page',
        );
        const held = readPackets(pieces, isPadded, (n) => n % 2 === 0);
        const all = { ...held, packets: held.packets.slice(0, expected.packets.length) };
        check(
          expected.packets
            .slice(0, all.packets.length)
            .every((one, i) => String(one) === String(all.packets[i])),
          'held packets are those of the page, in order',
        );
      }
      if (expected.fault === null && expected.held === 0 && !isPadded && input.length > 0) {
        const theirs = [pomeloProtocol.Package.decode(input)].flat();
        const list = theirs.map(({ type, body }) => [type, hex(body ?? Buffer.alloc(0))]);
        same(list, expected.packets, "packets are those of Pomelo's codec");
      }
    }
  },
};

const HANDSHAKE = /^\s*\{\s*"handshake"\s*:/;

const texts: Target = {
  name: 'texts',
  drives: ['protocol/text-reader.ts TextReader'],
  forms: ['json', 'lines'],
  seeds: [
    '{"handshake":{"sys":{}}}\n{"id":1,"route":"a.b","body":{}}\n{}',
    ' { "handshake" : 1}',
    'x'.repeat(301),
  ],
  run(input) {
    const messages = input.toString('latin1').split('\n');
    const expected = messages
      .filter((text) => text.length <= BODY_MAX)
      .map((text) => [
        HANDSHAKE.test(text.slice(0, 64)) ? PacketType.HANDSHAKE : PacketType.DATA,
        text,
      ]);
    const chance = chanceOf(input);
    for (const holding of [0, 0.5]) {
      const read: unknown[] = [];
      const reader: TextReader = new TextReader(BODY_MAX, (type, body) => {
        read.push([type, body.toString('latin1')]);
        if (chance.is(holding)) reader.hold();
      });
      for (const text of messages) {
        const fault = reader.push(Buffer.from(text, 'latin1'));
        check(
          (fault !== null) === text.length > BODY_MAX,
          'only what is too long is a fault',
          text.length,
        );
        if (chance.is(0.3)) reader.release();
      }
      while (reader.heldBytes > 0) reader.release();
      // Empty messages count no bytes.
      for (let i = 0; i < messages.length; i++) reader.release();
      same(read, expected, 'each message comes once, in order');
    }
  },
};

const ROUTES = new Map([
  [1, 'chat.chatHandler.send'],
  [0xffff, 'onChat'],
]);
const ID_MAX = 2 ** 31 - 1;

/** What a client needs to know of a message, from ours and from the published codecs. */
function fieldsOf(message: Message): unknown {
  const { kind, routeWasCode, route } = message;
  const code = [...ROUTES].find(([, name]) => name === route)?.[0];
  return {
    id: idOfRaw(message.rawId),
    type: kind,
    route: kind === MessageKind.RESPONSE ? null : routeWasCode ? code : route,
    body: hex(message.body),
    compressed: message.compressed,
  };
}

/** The same message by our encoder; null: it cannot be written, as a request with the flags of Pitaya. */
function encodedAgain(message: Message): Buffer | null {
  const { kind, rawId, routeWasCode, route, body } = message;
  const name = routeWasCode ? [...ROUTES].find(([, one]) => one === route)![0] : route;
  const encoded =
    kind === MessageKind.REQUEST
      ? encodeRequest(rawId, name, body)
      : kind === MessageKind.NOTIFY
        ? encodeNotify(name, body)
        : kind === MessageKind.PUSH
          ? encodePush(name, body)
          : encodeResponse(rawId, body);
  return encoded?.subarray(packetOffset(encoded) + PACKET_HEAD_BYTES) ?? null;
}

const message: Target = {
  name: 'message',
  drives: ['protocol/message.ts decodeMessage'],
  forms: ['bytes'],
  seeds: [
    Buffer.from('000105612e622e637b7d', 'hex'),
    Buffer.from('0180010001', 'hex'),
    Buffer.from('0205612e622e637b7d', 'hex'),
    Buffer.from('03ffff7b7d', 'hex'),
    Buffer.from('04ffffffff0f7b7d', 'hex'),
    Buffer.from('06036f6e587b7d', 'hex'),
    Buffer.from('14017801', 'hex'),
    Buffer.from('240100', 'hex'),
    Buffer.from('0001 0c e4bda0e5a5bd f09f9882 616162'.replaceAll(' ', ''), 'hex'),
  ],
  fresh: fc
    .record({
      id: fc.oneof(fc.nat(), fc.constantFrom(0, 127, 128, 16_383, 16_384, ID_MAX, 2 ** 35 - 1)),
      kind: fc.constantFrom(...Object.values(MessageKind)),
      route: fc.oneof(fc.constantFrom(1, 0xffff, 'a.b.c'), anyText(60)),
      body: fc.uint8Array({ maxLength: 40 }),
    })
    .map(({ id, kind, route, body }) => {
      const into = Object.assign(new Message(), {
        kind,
        rawId: rawIdOf(id),
        route,
        body: Buffer.from(body),
      });
      if (typeof route === 'number')
        Object.assign(into, { route: ROUTES.get(route), routeWasCode: true });
      return encodedAgain(into) ?? Buffer.alloc(0);
    }),
  run(input) {
    const read = new Message();
    const fault = decodeMessage(input, (code) => ROUTES.get(code), read);
    // What was in it before must not show: routes are compared with the one before.
    const used = Object.assign(new Message(), {
      route: 'a.b.c',
      rawId: 7,
      wantsAnswer: true,
      error: true,
    });
    same(
      decodeMessage(input, (code) => ROUTES.get(code), used),
      fault,
      'the same fault whatever was there before',
    );
    if (fault !== null) return;
    same(used, read, 'the same message whatever was there before');
    const again = new Message();
    decodeMessage(input, (code) => ROUTES.get(code), again);
    decodeMessage(input, (code) => ROUTES.get(code), again);
    same(again, read, 'the same message twice');
    check(
      read.wantsAnswer === (read.kind === MessageKind.REQUEST && idOfRaw(read.rawId) !== 0),
      'an id of 0 is a notify',
    );
    const written = encodedAgain(read);
    if (written !== null) {
      const twice = new Message();
      same(
        decodeMessage(written, (code) => ROUTES.get(code), twice),
        null,
        'what is written can be read',
      );
      // Flags that our encoder does not write, and a route's invalid UTF-8, are not kept.
      const { compressed, error } = twice;
      check(!compressed && !error, 'no flag is written that was not asked for');
      same(
        Object.assign(twice, { compressed: read.compressed, error: read.error }),
        read,
        'decode(encode(x)) = x',
      );
    }
    if (idOfRaw(read.rawId) > ID_MAX) return;
    for (const [name, { Message: reference }] of [
      ['pomelo', pomeloProtocol],
      ['pinus', pinusProtocol],
    ] as const) {
      const { id, type, route, body, compressGzip } = reference.decode(input);
      const theirs = { id, type, route, body: hex(body), compressed: Boolean(compressGzip) };
      same(fieldsOf(read), theirs, `the message that ${name} reads`);
    }
  },
};

const text: Target = {
  name: 'text',
  drives: [
    'protocol/text.ts textFromClient',
    'protocol/text.ts utf8FromClient',
    'protocol/text.ts bodyFromClient',
    'protocol/text.ts bodyForClient',
    'protocol/text.ts escapeAstral',
    'protocol/text.ts cesu8',
  ],
  forms: ['json', 'bytes'],
  seeds: [
    '{"a":"é漢😀"}\n',
    Buffer.from('7b2261223a22eda0bdedb8827d227d', 'hex'),
    ' [1,"\\ud83d\\ude00"] ',
    Buffer.from('eda0bdedb882eda0bd', 'hex'),
    Buffer.from('f4908080f09f9882', 'hex'),
  ],
  fresh: fc.oneof(fc.json(), anyText(60)),
  run(input) {
    const before = hex(input);
    const read = textFromClient(input);
    same(
      read,
      expectedText(input),
      'UTF-8, pairs of halves as their characters, and U+FFFD for anything else',
    );
    const padded = Buffer.concat([Buffer.from('"'), input, Buffer.from('"')]);
    same(
      textFromClient(padded, 1, padded.length - 1),
      read,
      'the same text in the middle of others',
    );
    check(read.length <= input.length, 'a text is not longer than its bytes');
    const well = read.toWellFormed() === read;
    check(well, 'no half characters come from bytes');
    same(textFromClient(cesu8(read)), read, "a browser's form of a text is that text");
    same(
      hex(cesu8(read)),
      hex(browserProtocol.strencode(read)),
      "a browser's form is what browsers write",
    );
    const whole = utf8FromClient(input);
    same(
      whole.toString('utf8'),
      read.length === 0 ? '' : textFromClient(whole),
      'joined pairs are UTF-8',
    );
    const escaped = escapeAstral(Buffer.from(read));
    check(
      !/[\u{10000}-\u{10ffff}]/u.test(Buffer.from(escaped).toString()),
      'no character of four bytes is left',
    );
    for (const bytesMax of [16, 1_000_000]) {
      const fromClient = bodyFromClient(input, bytesMax);
      const forClient = bodyForClient(input, bytesMax);
      if (fromClient === null)
        check(input.length > bytesMax, 'only what is too long is not converted');
      else if (!beginsAsJson(input)) check(fromClient === input, 'other bytes pass unchanged');
      if (forClient === null)
        check(input.length > bytesMax, 'only what is too long is not escaped');
      else sameJson(Buffer.from(forClient), input);
    }
    same(hex(input), before, 'the input is not written to');
  },
};

const PAIR = /\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]/g;

/** [CESU-8] Each pair of three bytes and three is one character in four bytes. */
function expectedText(input: Buffer): string {
  const joined = input.toString('latin1').replaceAll(PAIR, (pair) => {
    const units = [0, 3].map((at) => {
      const [, high, low] = Array.from({ length: 3 }, (_, i) => pair.charCodeAt(at + i));
      return 0xd000 | ((high! & 0x3f) << 6) | (low! & 0x3f);
    });
    return Buffer.from(String.fromCharCode(...units)).toString('latin1');
  });
  return Buffer.from(joined, 'latin1').toString();
}

/** Whatever is done to JSON, it is the same value. */
function sameJson(ours: Buffer, original: Buffer): void {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(original));
  } catch {
    return;
  }
  same(JSON.parse(ours.toString()), value, 'JSON for clients is the same value');
}

export const targets: readonly Target[] = [packets, texts, message, text];
