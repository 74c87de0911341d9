/** The layers of pomelo-protobuf: what the reference does with a vector, and what our codec does with it. */
import { Protos, protosVersion } from '../../../src/protocol/protobuf/protos.ts';
import type { Comparison } from './comparisons.ts';
import type { Vector } from './vectors.ts';

/** No body at all: the reference gives null or throws, ours an empty buffer or a fault. */
const NOTHING = 'nothing';

/** The route and the messages of a vector as one file of definitions. */
export function protosOf({ route, proto, rootMessages }: Vector['input']): Protos {
  return Protos.of({ ...(proto !== undefined && { [route]: proto }), ...rootMessages });
}

function encoded(protos: Protos, { route, msg }: Vector['input']): string {
  const result = protos.encodeValue(route, withoutMaps(msg), 'utf8');
  return 'fault' in result || result.bytes.length === 0 ? NOTHING : result.bytes.toString('hex');
}

/** The value as it goes on in JSON. */
function decoded(protos: Protos, route: string, hex: string | null): unknown {
  if (hex === null) return NOTHING;
  const result = protos.decode(route, Buffer.from(hex, 'hex'));
  return 'fault' in result ? NOTHING : (JSON.parse(JSON.stringify(result.value)) as unknown);
}

/** A Map, which the vectors write as `{"$map": [[key, value]]}`, as the object that stands for it in JSON. */
function withoutMaps(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (first?.[0] === '$map') return Object.fromEntries(first[1] as [string, unknown][]);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutMaps(inner)]));
}

/**
 * Types that only Pinus has are compared with Pinus: Pomelo writes their tag and no value. The browser build is an
 * encoder of clients alone, so only what it writes is compared; its buffer is as long as the JSON, and what does not
 * fit there is lost, which has to be refused.
 */
export function compareProtobuf(vector: Vector): Comparison {
  const { input, hex } = vector;
  const protos = protosOf(input);
  const ofPinus: string | undefined = vector['pinusHex'];
  const bytes = ofPinus ?? hex;
  const fromBrowser: string | null = ofPinus === undefined ? (vector['browserHex'] ?? hex) : null;
  const ours = {
    encoded: encoded(protos, input),
    decoded: decoded(protos, input.route, bytes),
    fromBrowser: decoded(protos, input.route, fromBrowser),
  };
  const value = bytes === null ? NOTHING : ofPinus === undefined ? vector['decoded'] : input.msg;
  const isCut =
    fromBrowser !== null &&
    fromBrowser.length < ours.encoded.length &&
    fromBrowser.length / 2 === Buffer.byteLength(JSON.stringify(input.msg));
  const reference = {
    encoded: bytes ?? NOTHING,
    decoded: value,
    fromBrowser: fromBrowser === null || isCut ? NOTHING : value,
  };
  return { reference, ours };
}

export function compareProtobufDecode({ input, hex, ...more }: Vector): Comparison {
  const result = more['pomeloResult'];
  const isNothing = result === null || 'throws' in result;
  return {
    reference: isNothing ? NOTHING : result,
    ours: decoded(protosOf(input), input.route, hex),
  };
}

export function compareProtobufPinus(vector: Vector): Comparison {
  const { input, hex } = vector;
  const protos = protosOf(input);
  return {
    reference: { encoded: hex, decoded: withoutMaps(vector['decoded']) },
    ours: { encoded: encoded(protos, input), decoded: decoded(protos, input.route, hex) },
  };
}

/** From the files that the parsed forms came of, so that the parser is compared as well. */
export function compareProtosVersion(vector: Vector): Comparison {
  const { clientProtos, serverProtos, preimage } = vector.input;
  const client = Protos.of(definitionOf(clientProtos));
  const server = Protos.of(definitionOf(serverProtos));
  return {
    reference: { preimage, version: vector['base64'] },
    ours: {
      preimage: JSON.stringify(client.parsed) + JSON.stringify(server.parsed),
      version: protosVersion(client, server),
    },
  };
}

type Parsed = Readonly<Record<string, { option: string; type: string; tag: number }>> & {
  readonly __messages: Readonly<Record<string, Parsed>>;
};

/** The content of the file that Pomelo parses to `parsed`. */
function definitionOf(parsed: Readonly<Record<string, Parsed>>): Record<string, unknown> {
  const ofMessage = ({ __messages, __tags, ...fields }: Parsed): object => ({
    ...Object.fromEntries(
      Object.entries(fields).map(([name, { option, type, tag }]) => [
        `${option} ${type} ${name}`,
        tag,
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(__messages).map(([name, inner]) => [`message ${name}`, ofMessage(inner)]),
    ),
  });
  return Object.fromEntries(Object.entries(parsed).map(([key, inner]) => [key, ofMessage(inner)]));
}
