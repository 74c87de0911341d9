/**
 * Our packets, messages and strings beside the published codecs, by chance. `known.ts` says where the
 * reference gets it wrong and ours does not follow.
 */
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
} from '../../../../src/protocol/message.ts';
import { encodePacket, packetOffset, type PacketType } from '../../../../src/protocol/packet.ts';
import { PacketReader } from '../../../../src/protocol/packet-reader.ts';
import {
  cesu8,
  escapeAstral,
  textFromClient,
  utf8FromClient,
} from '../../../../src/protocol/text.ts';
import { mutated } from './mutation.ts';
import type { Random } from './random.ts';
import {
  browserProtocol,
  pinusProtocol,
  pomeloProtocol,
  type Protocol,
  type WireMessage,
} from './references.ts';

export type Counts = {
  packets: number;
  messages: number;
  texts: number;
  mutated: number;
  mutatedAndRead: number;
};

export function newCounts(): Counts {
  return { packets: 0, messages: 0, texts: 0, mutated: 0, mutatedAndRead: 0 };
}

const ALL: Readonly<Record<string, Protocol>> = {
  pomelo: pomeloProtocol,
  pinus: pinusProtocol,
  browser: browserProtocol,
};
const MUTATIONS = 2;
const ID_MAX = 2 ** 31 - 1;
const ROUTE_BYTES = 255;

/** `count` messages, each in its packet, and the packets in one stream. */
export function comparePackets(random: Random, count: number, counts: Counts): void {
  const packets: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const message = randomMessage(random);
    try {
      const bytes = compareMessage(message, counts);
      packets.push(comparePacket(4, bytes, counts));
      if (random.oneIn(4))
        packets.push(comparePacket(random.between(1, 5), randomBody(random), counts));
      compareTexts(randomText(random), counts);
      for (let j = 0; j < MUTATIONS; j++) readMessageAtMost(mutated(random, bytes), counts);
    } catch (error) {
      const body = message.body.toString('hex');
      const what = JSON.stringify({ ...message, body });
      throw new Error(`${(error as Error).message}\n${what.slice(0, 2000)}`, { cause: error });
    }
  }
  compareStream(random, packets);
  for (let i = 0; i < MUTATIONS; i++) {
    readStreamAtMost(random, mutated(random, Buffer.concat(packets.slice(0, 3))), counts);
  }
}

type Sample = {
  readonly kind: MessageKind;
  readonly id: number;
  readonly route: string | number;
  readonly body: Buffer;
};

function randomMessage(random: Random): Sample {
  const kind = random.pick(Object.values(MessageKind));
  const power = 2 ** random.pick([0, 7, 14, 21, 28, 31]);
  const id = random.oneIn(2) ? random.below(power) : power + random.between(-2, 2);
  const code = random.pick([1, 127, 128, 255, 256, 0xffff, random.between(1, 0xffff)]);
  return {
    kind,
    id: Math.min(Math.max(id, 0), ID_MAX),
    route: random.oneIn(3) ? code : randomRoute(random),
    body: randomBody(random),
  };
}

function randomRoute(random: Random): string {
  const route = random.oneIn(8)
    ? randomText(random)
    : random.pick(['a.b.c', 'chat.chatHandler.send', 'onChat']);
  const bytes = Buffer.byteLength(route);
  return bytes <= ROUTE_BYTES ? route : 'r'.repeat(random.pick([ROUTE_BYTES, 128, 127]));
}

function randomBody(random: Random): Buffer {
  const length = random.oneIn(200) ? random.between(60_000, 70_000) : random.below(200);
  return random.oneIn(200) ? Buffer.alloc(length, 1) : random.bytes(length % 300);
}

function randomText(random: Random): string {
  const all = Array.from(
    random.pick([
      'abc {}":,',
      '你好안녕',
      'aé\u{1f602}',
      '\u{10000}\u{10ffff}',
      '\0\x7f\x80\u07ff\u0800\uffff',
    ]),
  );
  return Array.from({ length: random.below(60) }, () => random.pick(all)).join('');
}

/** Gives our bytes of the message. */
function compareMessage(sample: Sample, counts: Counts): Buffer {
  counts.messages++;
  const { kind, id, route, body } = sample;
  const bytes = encoded(sample);
  const hasId = kind === MessageKind.REQUEST || kind === MessageKind.RESPONSE;
  const hasRoute = kind !== MessageKind.RESPONSE;
  const isCode = typeof route === 'number';
  const expected: Fields = {
    id: hasId ? id : 0,
    type: kind,
    route: hasRoute ? route : null,
    body: body.toString('hex'),
    compressed: false,
  };
  mustBe(show(fieldsOf(bytes)), show(expected), 'our message, decoded by us');
  for (const [name, { Message: reference }] of Object.entries(ALL)) {
    // A browser writes and reads characters of four bytes in its own way: those are compared as texts.
    if (name === 'browser' && typeof route === 'string' && hasAstral(route)) continue;
    const theirs = hex(reference.encode(id, kind, isCode && hasRoute ? 1 : 0, route, body));
    mustBe(hex(bytes), theirs, `a message encoded by ${name}`);
    mustBe(
      show(expected),
      show(fieldsOfTheirs(reference.decode(bytes))),
      `a message decoded by ${name}`,
    );
  }
  return bytes;
}

function encoded({ kind, id, route, body }: Sample): Buffer {
  const packet =
    kind === MessageKind.REQUEST
      ? encodeRequest(rawIdOf(id), route, body)!
      : kind === MessageKind.NOTIFY
        ? encodeNotify(route, body)!
        : kind === MessageKind.RESPONSE
          ? encodeResponse(rawIdOf(id), body)!
          : encodePush(route, body)!;
  return packet.subarray(packetOffset(packet) + 4);
}

type Fields = {
  readonly id: number;
  readonly type: number;
  readonly route: string | number | null;
  readonly body: string;
  readonly compressed: boolean;
};

/** null: it cannot be read. */
function fieldsOf(bytes: Buffer): Fields | null {
  const message = new Message();
  if (decodeMessage(bytes, (code) => (code === 0 ? undefined : String(code)), message) !== null)
    return null;
  const { kind, route, routeWasCode } = message;
  return {
    id: idOfRaw(message.rawId),
    type: kind,
    route: kind === MessageKind.RESPONSE ? null : routeWasCode ? Number(route) : route,
    body: hex(message.body),
    compressed: message.compressed,
  };
}

function fieldsOfTheirs({ id, type, route, body, compressGzip }: WireMessage): Fields {
  return { id, type, route, body: hex(body), compressed: Boolean(compressGzip) };
}

/** What ours reads of any bytes, Pomelo's and Pinus's codec read as well. */
function readMessageAtMost(bytes: Buffer, counts: Counts): void {
  counts.mutated++;
  const ours = fieldsOf(bytes);
  if (ours === null || ours.id > ID_MAX) return;
  counts.mutatedAndRead++;
  for (const name of ['pomelo', 'pinus'] as const) {
    const theirs = fieldsOfTheirs(ALL[name]!.Message.decode(bytes));
    mustBe(show(ours), show(theirs), `${hex(bytes)} decoded by ${name}`);
  }
}

function comparePacket(type: number, body: Buffer, counts: Counts): Buffer {
  counts.packets++;
  const whole = encodePacket(type as PacketType, body)!;
  const packet = whole.subarray(packetOffset(whole));
  for (const [name, { Package: reference }] of Object.entries(ALL)) {
    mustBe(hex(packet), hex(reference.encode(type, body)), `a packet encoded by ${name}`);
    const decoded = reference.decode(packet);
    const ofOne = Array.isArray(decoded) ? decoded : [decoded];
    mustBe(`${type}:${hex(body)}`, ofOne.map(showPacket).join(), `a packet decoded by ${name}`);
  }
  return packet;
}

function compareStream(random: Random, packets: readonly Buffer[]): void {
  const stream = Buffer.concat(packets);
  const { read, held, fault } = readStream(random, stream);
  if (held > 0 || fault !== null) throw new Error(`ours held ${held} bytes, fault ${fault}`);
  for (const [name, { Package: reference }] of Object.entries(ALL)) {
    const theirs = [reference.decode(stream)].flat().map(showPacket);
    mustBe(read.join(), theirs.join(), `${packets.length} packets decoded by ${name}`);
  }
}

/** As many packets as ours reads before it refuses or waits are those that the reference reads. */
function readStreamAtMost(random: Random, stream: Buffer, counts: Counts): void {
  counts.mutated++;
  const { read, held, fault } = readStream(random, stream);
  // Else the reference might make 16 MiB of a head.
  if (held > 0 || fault !== null || read.length === 0) return;
  counts.mutatedAndRead++;
  const theirs = [pomeloProtocol.Package.decode(stream)].flat().map(showPacket);
  mustBe(read.join(), theirs.join(), `${hex(stream)} decoded`);
}

function readStream(
  random: Random,
  stream: Buffer,
): { read: string[]; held: number; fault: string | null } {
  const read: string[] = [];
  const reader = new PacketReader(0xffffff, (type, body) => {
    read.push(showPacket({ type, body }));
  });
  let fault: string | null = null;
  for (let at = 0; at < stream.length;) {
    const end = at + random.between(1, random.pick([3, 200, 2000]));
    fault = reader.push(Buffer.from(stream.subarray(at, end)));
    at = end;
  }
  return { read, held: reader.heldBytes, fault };
}

function compareTexts(text: string, counts: Counts): void {
  counts.texts++;
  const theirs = Buffer.from(browserProtocol.strencode(text));
  mustBe(hex(cesu8(text)), hex(theirs), 'a text written by a browser');
  mustBe(textFromClient(theirs), text, 'a text of a browser, read by us');
  const json = JSON.stringify({ [text]: text });
  const ofBrowser = Buffer.from(browserProtocol.strencode(json));
  mustBe(utf8FromClient(ofBrowser).toString(), json, 'JSON of a browser, read by us');
  const forBrowser = escapeAstral(Buffer.from(json));
  const read: unknown = JSON.parse(browserProtocol.strdecode(forBrowser));
  mustBe(JSON.stringify(read), json, 'our JSON, read by a browser');
}

function hasAstral(text: string): boolean {
  return /[\ud800-\udfff]/.test(text);
}

function showPacket({ type, body }: { type: number; body?: Uint8Array | null }): string {
  return `${type}:${body ? hex(body) : ''}`;
}

function show(fields: Fields | null): string {
  return JSON.stringify(fields);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function mustBe(ours: string, reference: string, what: string): void {
  if (ours === reference) return;
  throw new Error(`${what}: ours ${ours.slice(0, 400)}, the reference ${reference.slice(0, 400)}`);
}
