/**
 * Messages as JSON text, one in each WebSocket message: for people, and for clients that know no Pomelo. The
 * form is in src/README.md.
 */
import { type Failure, failure } from '../errors.ts';
import { type HandshakeCode, type HandshakeRequest, readHandshake } from '../protocol/handshake.ts';
import { type Message, type MessageFault, MessageKind } from '../protocol/message.ts';
import { type Encoded, encodeText } from '../protocol/packet.ts';
import { errorObject, refusalWords } from './error-body.ts';
import {
  ANSWER_BYTES_MAX,
  type Dialect,
  type Manners,
  type Speaker,
  tooLong,
  type Wire,
} from './wire.ts';

export class JsonDialect implements Dialect {
  readonly name = 'json';
  readonly manners: Manners = {
    framing: 'text',
    earlyData: 'ignore',
    malformed: 'drop',
    heartbeat: 'ping',
    activeAtOnce: true,
  };
  readonly packetBytesMax = Infinity;
  readonly wire: Wire = new JsonWire();

  /** `{"handshake":{"sys":{…},"user":{…}}}`; both may be left out. */
  readHandshake(body: Buffer): HandshakeRequest | null {
    const value = parse(body);
    return isObject(value) ? readHandshake(value['handshake'], false) : null;
  }

  wireFor(): Wire {
    return this.wire;
  }

  accept(_request: HandshakeRequest, user: unknown): Encoded {
    return encodeText(JSON.stringify({ handshake: { code: 200, user } }));
  }

  refuse(code: HandshakeCode, why?: Failure): Encoded {
    return encodeText(JSON.stringify({ handshake: { code, ...(why && refusalWords(why)) } }));
  }

  kick(body: Readonly<Record<string, unknown>>): Encoded {
    return encodeText(JSON.stringify({ kick: body }));
  }
}

class JsonWire implements Wire {
  /** Any fault leaves `into` answerable: with the id where there is one. */
  decode(bytes: Buffer, into: Message): MessageFault | null {
    into.kind = MessageKind.NOTIFY;
    into.rawId = 0;
    into.wantsAnswer = true;
    into.route = '';
    const value = parse(bytes);
    if (!isObject(value)) return 'not_json';
    const { id = null, route, body = {} } = value;
    if (id !== null) {
      if (!Number.isSafeInteger(id) || (id as number) < 0) return 'bad_id';
      into.rawId = id as number;
    }
    if (typeof route !== 'string') return 'bad_message';
    into.wantsAnswer = into.rawId !== 0;
    if (into.wantsAnswer) into.kind = MessageKind.REQUEST;
    into.route = route;
    into.routeWasCode = false;
    into.compressed = false;
    try {
      into.body = Buffer.from(JSON.stringify(body));
    } catch {
      // Nested deeper than it can be written again.
      into.wantsAnswer = true;
      return 'bad_message';
    }
    return null;
  }

  readBody(_speaker: Speaker, { body }: Message): Buffer {
    return body;
  }

  answer(rawId: number, _route: string, body: Uint8Array): Encoded | Failure {
    if (body.length > ANSWER_BYTES_MAX) return tooLong();
    const json = jsonText(body);
    if (json === null)
      return failure('BAD_REPLY', 'the backend answered with something that is not JSON');
    return encodeText(`{"id":${rawId},"body":${json}}`);
  }

  failure(rawId: number, _route: string, why: Failure): Encoded {
    const own = why.body === null ? null : jsonText(why.body);
    const error = own ?? JSON.stringify(errorObject(why));
    return encodeText(rawId === 0 ? `{"error":${error}}` : `{"id":${rawId},"error":${error}}`);
  }

  push(route: string, body: Uint8Array): Encoded | Failure {
    const json = jsonText(body);
    if (json === null)
      return failure(
        'BAD_ARGUMENT',
        `the push ${route} is not JSON, and its client reads nothing else`,
      );
    return encodeText(`{"route":${JSON.stringify(route)},"body":${json}}`);
  }
}

/** The body if it is JSON, `{}` for none; else null. */
function jsonText(body: Uint8Array): string | null {
  if (body.length === 0) return '{}';
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString();
  try {
    JSON.parse(text);
    return text;
  } catch {
    return null;
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
