/**
 * Bugs to be planted, one at a time: each a small change in one parser that nothing but the right input shows. `make
 * fuzz-planted` finds every one, or the fuzzer is not good enough.
 */
import type { Planted } from '../simulate/planted.ts';

export type PlantedInParser = Planted & {
  /** Which of the targets is to find it. */
  readonly target: string;
};

// oxfmt-ignore
export const PLANTED: readonly PlantedInParser[] = [
  {
    name: 'packet-of-the-greatest-length',
    why: 'a packet that is exactly as long as it may be ends the connection',
    target: 'packets',
    file: 'src/protocol/packet-reader.ts',
    find: 'if (length > this.#bodyBytesMax) {',
    replace: 'if (length >= this.#bodyBytesMax) {',
  },
  {
    name: 'route-of-the-message-before',
    why: 'a route of other characters is taken for the last one, if its length is the same',
    target: 'message',
    file: 'src/protocol/message.ts',
    find: 'if (byte >= 0x80 || byte !== text.charCodeAt(i)) return false;',
    replace: 'if (byte < 0x80 && byte !== text.charCodeAt(i)) return false;',
  },
  {
    name: 'pair-without-its-last-byte',
    why: 'bytes that only begin like a pair of halves become a character',
    target: 'text',
    file: 'src/protocol/text.ts',
    find: '(bytes[at + 4]! & 0xf0) === 0xb0 &&\n    isContinuation(bytes[at + 5]!)',
    replace: '(bytes[at + 4]! & 0xf0) === 0xb0',
  },
  {
    name: 'hex-with-a-g',
    why: 'JSON with \\u000g is valid, and what parses it later throws',
    target: 'json-scan',
    file: 'src/protocol/json-tokens.ts',
    find: '(letter >= 0x61 && letter <= 0x66)',
    replace: '(letter >= 0x61 && letter <= 0x67)',
  },
  {
    name: 'member-of-another-name',
    why: 'a key that is written with escapes is taken for a member although it goes on behind its name',
    target: 'json-scan',
    file: 'src/protocol/json-scan.ts',
    find: 'return (JSON.parse(key.toString()) as string) === Buffer.from(name).toString();',
    replace: 'return (JSON.parse(key.toString()) as string).startsWith(Buffer.from(name).toString());',
  },
  {
    name: 'digits-that-are-lost',
    why: 'a number of sixteen digits loses its last one',
    target: 'exact-json',
    file: 'src/protocol/exact-json.ts',
    find: '/[0-9.]{16}|[0-9][eE]',
    replace: '/[0-9.]{17}|[0-9][eE]',
  },
  {
    name: 'large-negative-numbers',
    why: 'a number of a client below -2^28 is read one too large',
    target: 'pomelo-protobuf',
    file: 'src/protocol/protobuf/reader.ts',
    find: '(low & 1) === 0 ? half : -half - 1',
    replace: '(low & 1) === 0 ? half : -half',
  },
  {
    name: 'beyond-the-message',
    why: 'a field may be longer than the message that it is in, and takes what is behind it',
    target: 'close',
    file: 'src/contract/protobuf-wire.ts',
    find: 'if (length > this.#end - at) throw',
    replace: 'if (length > this.#bytes.length - at) throw',
  },
  {
    name: 'the-second-header-counts',
    why: 'of two headers of one name the last one counts',
    target: 'header-block',
    file: 'src/upstream/nats/header-block.ts',
    find: '  if (read.has(name)) return;\n',
    replace: '',
  },
  {
    name: 'answers-where-gateways-wait',
    why: 'a caller can have the gateway publish where another one waits for the answers of backends',
    target: 'subjects',
    file: 'src/upstream/nats/subjects.ts',
    find: "  if (tokens[2] === 'rpc') return null;\n",
    replace: '',
  },
  {
    name: 'number-that-is-cut',
    why: 'a long line fails another request, if its number has more than eight digits',
    target: 'ipc-long-line',
    file: 'src/upstream/ipc/long-line.ts',
    find: 'const TEXT_BYTES_MAX = 20;',
    replace: 'const TEXT_BYTES_MAX = 8;',
  },
  {
    name: 'a-ping-within-a-message',
    why: 'a ping between the fragments of a message ends it',
    target: 'websocket-frames',
    file: 'src/transport/frame-tracker.ts',
    find: 'if ((byte & 0x0f) < FIRST_CONTROL_OPCODE) this',
    replace: 'if ((byte & 0x0f) <= FIRST_CONTROL_OPCODE + 1) this',
  },
  {
    name: 'own-path-in-escapes',
    why: 'a client reaches /pith/closed of a backend by a path with escapes',
    target: 'http-path',
    file: 'src/upstream/http/path.ts',
    find: '|%/i;',
    replace: '/i;',
  },
  {
    name: 'options-without-end',
    why: 'a .proto file whose option lacks its last brace is read for ever',
    target: 'proto-file',
    file: 'src/upstream/method/proto/options.ts',
    find: "    if (kind === 'end') throw tokens.unexpected('\"}\"');\n    if (kind === 'mark' && (text === '{'",
    replace: "    if (kind === 'mark' && (text === '{'",
  },
  {
    name: 'int64-by-way-of-a-double',
    why: 'a whole number of 64 bits loses its last digits on its way to a method',
    target: 'method-request',
    file: 'src/upstream/method/json-fields.ts',
    find: 'return is64 ? whole : Number(whole);',
    replace: 'return is64 && whole > -(2n ** 64n) && whole < 2n ** 64n ? BigInt(Number(whole)) : is64 ? whole : Number(whole);',
  },
  {
    name: 'not-newer-than-itself',
    why: 'a rule for newer clients lets in those of the very version',
    target: 'config-texts',
    file: 'src/config/client-rules.ts',
    find: 'return order > 0;',
    replace: 'return order >= 0;',
  },
  {
    name: 'every-byte-anew',
    why: 'a body of one list of messages is decoded again for each of them: time grows by the square',
    target: 'attach-json',
    file: 'src/protocol/json-elements.ts',
    find: '    const end = afterKnown(list, this.#at);\n',
    replace: '    for (let at = 0; at < this.#at; at++) afterSpace(list, at);\n    const end = afterKnown(list, this.#at);\n',
  },
  {
    name: 'header-that-is-not-there-yet',
    why: 'a PROXY header is taken for complete before its fields have come, and they for what the client sent',
    target: 'proxy-header',
    file: 'src/transport/proxy-header.ts',
    find: 'if (bytes.length < HEAD_BYTES + length) return PARTIAL;',
    replace: 'if (bytes.length < HEAD_BYTES + needed) return PARTIAL;',
  },
  {
    name: 'number-of-another-turn',
    why: 'an answer to a number of long ago ends the call that has its place now',
    target: 'link',
    file: 'src/upstream/call-table.ts',
    find: 'return call !== undefined && call !== null && call.pendingId === id ? call : null;',
    replace: 'return call ?? null;',
  },
];
