/** The published codecs as they are, with the types that the comparisons need. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createContext, runInContext } from 'node:vm';

const require = createRequire(new URL('../../../clients/package.json', import.meta.url));

export type ProtobufCodec = {
  /** null where it finds nothing to write, or something required is missing. */
  encode(route: string, message: object): Uint8Array | null;
  decode(route: string, bytes: Uint8Array): unknown;
};

type PomeloProtobuf = ProtobufCodec & {
  init(protos: { encoderProtos: object; decoderProtos: object }): void;
};
type PinusProtobuf = new (options: {
  encoderProtos: object;
  decoderProtos: object;
  encoderCacheSize: number;
}) => ProtobufCodec;

const pomeloNode = require('pomelo-protobuf') as PomeloProtobuf & { parse(file: object): object };
const pomeloBrowser = require('pomelo-protobuf/lib/client/protobuf.js') as PomeloProtobuf;
const { Protobuf: Pinus } = require('pinus-protobuf') as {
  Protobuf: PinusProtobuf & { parse(file: object): object };
};

/** Room for all that is generated here: without it Pinus makes a buffer by the length of the JSON, as Pomelo does. */
const PINUS_BUFFER_BYTES = 1_048_576;

export type Parse = (file: object) => object;
export const parsePomelo: Parse = (file) => pomeloNode.parse(file);
export const parsePinus: Parse = (file) => Pinus.parse(file);

export function pinusCodec(parsed: object): ProtobufCodec {
  return new Pinus({
    encoderProtos: parsed,
    decoderProtos: parsed,
    encoderCacheSize: PINUS_BUFFER_BYTES,
  });
}

/** Pomelo's codecs keep one set of protos for all: the last that was asked for. */
export function pomeloCodecs(parsed: object): { node: ProtobufCodec; browser: ProtobufCodec } {
  for (const codec of [pomeloNode, pomeloBrowser]) {
    codec.init({ encoderProtos: parsed, decoderProtos: parsed });
  }
  return { node: pomeloNode, browser: pomeloBrowser };
}

export type WirePackage = { readonly type: number; readonly body: Uint8Array | null };
export type WireMessage = {
  readonly id: number;
  readonly type: number;
  readonly compressRoute: number | boolean;
  readonly route: string | number | null;
  readonly body: Uint8Array;
  readonly compressGzip: number | boolean;
};

export type Protocol = {
  readonly Package: {
    encode(type: number, body?: Uint8Array): Uint8Array;
    /** One package, or a list where the bytes hold several or none. */
    decode(bytes: Uint8Array): WirePackage | WirePackage[];
  };
  readonly Message: {
    encode(
      id: number,
      type: number,
      compressRoute: 0 | 1,
      route: string | number | null,
      body: Uint8Array,
    ): Uint8Array;
    decode(bytes: Uint8Array): WireMessage;
  };
};

type BrowserProtocol = Protocol & {
  strencode(text: string): Uint8Array;
  strdecode(bytes: Uint8Array): string;
};

/** pomelo-protocol as it is where there is a window: then it uses no Buffer. */
function inBrowser(): BrowserProtocol {
  const source = readFileSync(require.resolve('pomelo-protocol/lib/protocol.js'), 'utf8');
  const module = { exports: {} as BrowserProtocol };
  runInContext(source, createContext({ module, window: {}, Uint8Array }));
  return module.exports;
}

export const pomeloProtocol = require('pomelo-protocol') as Protocol;
export const pinusProtocol = require('pinus-protocol') as Protocol;
export const browserProtocol = inBrowser();
