/** For every layer: what the reference does with a vector, and what our code does with it, in the same shape. */
import { encodeHandshakeOk, parseHandshake } from '../../../src/protocol/handshake.ts';
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
  clientJson,
  encodeJsonPacket,
  encodePacket,
  packetOffset,
  PacketType,
} from '../../../src/protocol/packet.ts';
import { RouteDictionary } from '../../../src/protocol/route-dictionary.ts';
import { cesu8, escapeAstral, textFromClient, utf8FromClient } from '../../../src/protocol/text.ts';
import {
  compareProtobuf,
  compareProtobufDecode,
  compareProtobufPinus,
  compareProtosVersion,
} from './protobuf-comparisons.ts';
import { digest, type Packet, readAll } from './wire.ts';
import type { Vector } from './vectors.ts';

export type Comparison = { readonly reference: unknown; readonly ours: unknown };

export const dictionary = new RouteDictionary({ 'a.b.c': 1, 'd.e.f': 256, 'g.h.i': 65_535 });

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const packetOf = (encoded: Buffer) => encoded.subarray(packetOffset(encoded));
/** Our message inside its DATA packet. */
const messageOf = (encoded: Buffer) => packetOf(encoded).subarray(4);
const REFUSED = 'refused';

function orRefused(encoded: Buffer | null): Buffer | typeof REFUSED {
  return encoded ?? REFUSED;
}

function bodyOf(input: Vector['input']): Buffer {
  const repeat = input.bodyRepeat;
  if (repeat !== undefined) return Buffer.alloc(repeat.count, Buffer.from(repeat.byte, 'hex'));
  if (input.body !== undefined) return Buffer.from(JSON.stringify(input.body));
  return Buffer.from(input.bodyHex, 'hex');
}

const allOf = (packets: readonly Packet[]) => ({ packets, fault: null, heldBytes: 0 });

function comparePackage(vector: Vector): Comparison {
  const body = bodyOf(vector.input);
  const whole = orRefused(encodePacket(vector.input.type, body));
  const decoded = allOf([{ type: vector.input.type, body: digest(body) }]);
  const reference = { encoded: vector.hex, decoded };
  if (whole === REFUSED) return { reference, ours: REFUSED };
  const packet = packetOf(whole);
  const encoded = hex(vector['headerOnly'] === true ? packet.subarray(0, 4) : packet);
  return { reference, ours: { encoded, decoded: readAll([packet]) } };
}

function comparePackageDecode(vector: Vector): Comparison {
  const result = vector['pomeloResult'];
  const packets = (Array.isArray(result) ? result : [result]).map(({ type, bodyHex }) => ({
    type,
    body: bodyHex ?? '',
  }));
  return { reference: allOf(packets), ours: readAll([Buffer.from(vector.hex!, 'hex')]) };
}

function compareLegacyPackageDecode(vector: Vector): Comparison {
  const { type, body } = vector['result'];
  const ours = readAll([Buffer.from(vector.hex!, 'hex')]);
  return { reference: allOf([{ type, body: body ?? '' }]), ours };
}

/** What decodeMessage says, in the words of pomelo-protocol; `compressRoute` as its number. */
export function decoded(bytes: Buffer): unknown {
  const message = new Message();
  const fault = decodeMessage(bytes, (code) => dictionary.routeOf(code), message);
  if (fault !== null) return { fault };
  const { kind, route, routeWasCode } = message;
  return {
    id: idOfRaw(message.rawId),
    type: kind,
    compressRoute: routeWasCode ? 1 : 0,
    route: kind === MessageKind.RESPONSE ? null : routeWasCode ? dictionary.codeOf(route) : route,
    bodyHex: hex(message.body),
    compressGzip: message.compressed ? 1 : 0,
  };
}

function encodeAny(input: Vector['input']): Buffer | typeof REFUSED {
  const { id, type, route } = input;
  const body = bodyOf(input);
  if (type === MessageKind.REQUEST) return orRefused(encodeRequest(rawIdOf(id), route, body));
  if (type === MessageKind.NOTIFY) return orRefused(encodeNotify(route, body));
  if (type === MessageKind.RESPONSE) return orRefused(encodeResponse(rawIdOf(id), body));
  return orRefused(encodePush(route, body));
}

function compareMessage(vector: Vector): Comparison {
  const kinds: readonly number[] = Object.values(MessageKind);
  if (!kinds.includes(vector.input.type)) {
    // There is no function to ask; what is left to compare is how such a message is read.
    const bytes = Buffer.concat([Buffer.from([vector.input.type << 1, 1]), bodyOf(vector.input)]);
    return { reference: REFUSED, ours: { kinds, decoded: decoded(bytes) } };
  }
  const encoded = encodeAny(vector.input);
  const ourMessage = encoded === REFUSED ? null : messageOf(encoded);
  const ours =
    ourMessage === null
      ? REFUSED
      : { encoded: hex(ourMessage), decodedOwn: decoded(ourMessage), decoded: null as unknown };
  if (vector['throws'] !== undefined) return { reference: REFUSED, ours };
  if (ours !== REFUSED) ours.decoded = decoded(Buffer.from(vector.hex!, 'hex'));
  const fields = vector['decoded'];
  return { reference: { encoded: vector.hex, decodedOwn: fields, decoded: fields }, ours };
}

function compareMessageDecode(vector: Vector): Comparison {
  return { reference: vector['pomeloResult'], ours: decoded(Buffer.from(vector.hex!, 'hex')) };
}

/** As the old bundles read an id: most significant group first. */
function legacyId(message: Buffer): number {
  let id = 0;
  for (let at = 1; ; at++) {
    id = id * 128 + (message[at]! & 0x7f);
    if (message[at]! < 0x80) return id;
  }
}

function compareLegacyMessage(vector: Vector): Comparison {
  const message = new Message();
  const fault = decodeMessage(Buffer.from(vector.hex!, 'hex'), () => undefined, message);
  const answer = messageOf(encodeResponse(message.rawId, message.body)!);
  return {
    reference: {
      fault: null,
      route: vector.input.route,
      bodyHex: vector.input.bodyHex,
      serverReadsId: vector['currentServerDecodesId'],
      answer: vector['currentServerResponseHex'],
      clientSeesId: vector['legacyClientSeesResponseId'],
    },
    ours: {
      fault,
      route: message.route,
      bodyHex: hex(message.body),
      serverReadsId: idOfRaw(message.rawId),
      answer: hex(answer),
      clientSeesId: legacyId(answer),
    },
  };
}

function compareFull(vector: Vector): Comparison {
  const { id, type, compressRoute, route } = vector.input;
  const bodyHex = hex(bodyOf(vector.input));
  const encoded = encodeAny(vector.input);
  const ours = encoded === REFUSED ? null : packetOf(encoded);
  const { packets } = readAll([Buffer.from(vector.hex!, 'hex')]);
  return {
    reference: {
      encoded: vector.hex,
      types: [PacketType.DATA],
      decoded: [{ id, type, compressRoute, route, bodyHex, compressGzip: 0 }],
    },
    ours: {
      encoded: ours === null ? REFUSED : hex(ours),
      types: packets.map((packet) => packet.type),
      decoded: packets.map((packet) => decoded(Buffer.from(packet.body, 'hex'))),
    },
  };
}

function compareBatch(vector: Vector): Comparison {
  const bodies: string[] = vector.input.msgs;
  const packets = bodies.map((body) => encodePacket(PacketType.DATA, Buffer.from(body))!);
  return {
    reference: {
      encoded: vector.hex,
      decoded: allOf(bodies.map((body) => ({ type: 4, body: hex(Buffer.from(body)) }))),
    },
    ours: {
      encoded: hex(Buffer.concat(packets.map(packetOf))),
      decoded: readAll([Buffer.from(vector.hex!, 'hex')]),
    },
  };
}

/** What each recorded server had been set up with, and what its client had said. */
const serverSetups: Record<string, () => Buffer> = {
  'server-handshake-200-min': () => {
    const request = parseHandshake(Buffer.from('{"sys":{}}'))!;
    return encodeHandshakeOk(request, { heartbeatSeconds: 0, user: { hello: 1 } })!;
  },
  'server-handshake-cached': () => {
    const protos = { server: {}, client: {}, version: 'p1' };
    const sys = { dictVersion: dictionary.version, protoVersion: 'p1' };
    const request = parseHandshake(Buffer.from(JSON.stringify({ sys })))!;
    return encodeHandshakeOk(request, { heartbeatSeconds: 1, dictionary, protos })!;
  },
  'server-kick': () => encodeJsonPacket(PacketType.KICK, { reason: 'bye' })!,
};

function compareServer(vector: Vector): Comparison {
  const setUp = serverSetups[vector.name];
  return {
    reference: vector.hex,
    ours: setUp === undefined ? 'not set up' : hex(packetOf(setUp())),
  };
}

/** How stock browser clients read bytes: no UTF-8 of four bytes. */
function browserText(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const [a, b, c] = [bytes[at]!, bytes[at + 1]! & 0x3f, bytes[at + 2]! & 0x3f];
    if (a < 128) [text, at] = [text + String.fromCharCode(a), at + 1];
    else if (a < 224) [text, at] = [text + String.fromCharCode(((a & 0x3f) << 6) + b), at + 2];
    else [text, at] = [text + String.fromCharCode(((a & 0x0f) << 12) + (b << 6) + c), at + 3];
  }
  return text;
}

/**
 * Strings go out in JSON, so the claim is about that: browsers and Node read our JSON alike. Strings come in as
 * routes, which are read as Node's client reads them.
 */
function compareStrings(vector: Vector): Comparison {
  const { string } = vector.input;
  const json = Buffer.from(clientJson({ m: string }));
  const message = new Message();
  const bytes = Buffer.from(vector.hex!, 'hex');
  const head = Buffer.from([MessageKind.NOTIFY << 1, bytes.length]);
  decodeMessage(Buffer.concat([head, bytes]), () => undefined, message);
  return {
    reference: {
      browserReadsNode: vector['browserDecodesNode'],
      browserReadsUs: { m: string },
      nodeReadsUs: { m: string },
      fourByteLeads: 0,
      weReadBrowser: vector['nodeDecodesBrowser'],
      weWriteBrowser: vector.hex,
      textOfBrowser: string,
      jsonOfBrowser: vector['nodeHex'],
      escaped: json.toString(),
    },
    ours: {
      // Shows that the decoder above is that of the browsers.
      browserReadsNode: browserText(Buffer.from(vector['nodeHex'], 'hex')),
      browserReadsUs: JSON.parse(browserText(json)),
      nodeReadsUs: JSON.parse(json.toString('utf8')),
      fourByteLeads: json.filter((byte) => byte >= 0xf0).length,
      weReadBrowser: message.route,
      weWriteBrowser: hex(cesu8(string)),
      textOfBrowser: textFromClient(bytes),
      jsonOfBrowser: hex(utf8FromClient(bytes)),
      escaped: escapeAstral(Buffer.from(JSON.stringify({ m: string }))).toString(),
    },
  };
}

function compareVersion(vector: Vector): Comparison {
  if (vector.input.dict === undefined) return compareProtosVersion(vector);
  return { reference: vector['base64'], ours: new RouteDictionary(vector.input.dict).version };
}

export const comparisonOfLayer: Readonly<Record<string, (vector: Vector) => Comparison>> = {
  package: comparePackage,
  'package-decode': comparePackageDecode,
  'legacy-package-decode': compareLegacyPackageDecode,
  message: compareMessage,
  'message-decode': compareMessageDecode,
  'legacy-message': compareLegacyMessage,
  'package+message': compareFull,
  'package-batch': compareBatch,
  'server-observed': compareServer,
  'strencode-browser': compareStrings,
  version: compareVersion,
  protobuf: compareProtobuf,
  'protobuf-decode': compareProtobufDecode,
  'protobuf-pinus': compareProtobufPinus,
};
