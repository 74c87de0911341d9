/**
 * What a session needs to know about its client's protocol. A dialect is a family of servers that clients were
 * written for, as one listener serves it; a wire is the encoding for one profile of its clients. Both are made at
 * start, never change, and are shared by all sessions of the same kind.
 */
import type { KeyObject } from 'node:crypto';

import { type Failure, failure } from '../errors.ts';
import type { HandshakeCode, HandshakeRequest } from '../protocol/handshake.ts';
import type { Message, MessageFault } from '../protocol/message.ts';
import { type Encoded, PACKET_BODY_BYTES_MAX } from '../protocol/packet.ts';

export type DialectName = 'pomelo' | 'pitaya' | 'nano' | 'json';

const TOO_LONG = "the backend's answer does not fit into a packet";

/** The failure that replaces an answer that does not fit, in the form in which the client would read it. */
export function tooLong(): Failure {
  return failure('BAD_REPLY', TOO_LONG);
}

/** The failure for a push that does not fit. */
export function pushTooLong(route: string): Failure {
  return failure('TOO_LARGE', `the push ${route.slice(0, 127)} does not fit into a packet`);
}

/** The failure for a handshake answer that does not fit. */
export function handshakeTooLong(): Failure {
  return failure(
    'BAD_REPLY',
    `the answer to the handshake is more than the ${PACKET_BODY_BYTES_MAX} bytes that a packet holds`,
  );
}

/** What happens to a message with a missing or wrong signature. */
export type BadSignature = 'drop' | 'close';

/**
 * auto: JSON is made readable, and protobuf where the protos cover the route · raw: the bytes unchanged · protobuf: the
 * same, and an empty body is a message too.
 */
export type Codec = 'auto' | 'raw' | 'protobuf';

/** The codec state of one client. Reading a message may show how the client writes, and change its wire. */
export interface CodecContext {
  wire: Wire;
  /** Verifies the client's signatures; null: it does not sign. */
  publicKey: KeyObject | null;
}

/** The encoding for one profile of clients. */
export interface Wire {
  /** Its name in its dialect; '': there is no other. */
  readonly profile: string;
  /** Decodes a message. Returns what is wrong; then only the id in `into` is valid. */
  decode(bytes: Buffer, into: Message): MessageFault | null;
  /** A message's id as the client knows it, for backends and logs. */
  idOf(rawId: number): number;
  /** The body as the backend gets it; `raw`: the route wants the bytes unchanged. */
  readBody(context: CodecContext, message: Message, raw: boolean): Buffer | Failure | BadSignature;
  /** The answer to a request; a failure if the body cannot be encoded for this client. */
  answer(rawId: number, route: string, body: Uint8Array, codec: Codec): Encoded | Failure;
  /**
   * The error answer, whatever `why` holds; null: this dialect has none. `codec`: of the route's rule; absent where
   * there is no rule.
   */
  failure(rawId: number, route: string, why: Failure, codec?: Codec): Encoded | null;
  /** A failure if it cannot be encoded for this client, or does not fit into one packet. */
  push(route: string, body: Uint8Array): Encoded | Failure;
}

/** How a dialect handles packets, apart from their contents. */
export type DialectTraits = {
  /** Messages come in packets, or each as the text of one WebSocket message. */
  readonly framing: 'packets' | 'text';
  /** DATA before the client's ack is dropped, or closes the connection. */
  readonly earlyData: 'ignore' | 'close';
  /** A message that cannot be decoded is dropped (and answered where possible), or closes the connection. */
  readonly malformed: 'drop' | 'close';
  /**
   * answer: one at the ack, and one for each of the client's · tick: at a fixed interval · ping: likewise, as a
   * WebSocket ping.
   */
  readonly heartbeat: 'answer' | 'tick' | 'ping';
  /** A session is active as soon as it is connected, unless a backend has to authenticate it. */
  readonly activeAtOnce: boolean;
};

/** One dialect on one listener. */
export interface Dialect {
  readonly name: DialectName;
  readonly traits: DialectTraits;
  /** Largest body of a packet from a client, in bytes; Infinity: only `limits.packet` applies. */
  readonly packetBytesMax: number;
  /** The encoding for a client before its handshake. */
  readonly wire: Wire;
  /** null: not a handshake of this dialect. */
  readHandshake(body: Buffer): HandshakeRequest | null;
  /** The encoding for a client with this handshake. */
  wireFor(request: HandshakeRequest): Wire;
  /** The encoding of this name; null: there is none. */
  wireNamed(profile: string): Wire | null;
  /** `user`: the application's own block; undefined: none. A failure if the whole does not fit into a packet. */
  accept(request: HandshakeRequest, user: unknown): Encoded | Failure;
  /** `why`: a backend's own reason, omitted if it does not fit into a packet. null: this dialect just closes. */
  refuse(code: HandshakeCode, why?: Failure): Encoded | null;
  /** null: this dialect has no kick packet, or it does not fit. */
  kick(body: Readonly<Record<string, unknown>>): Encoded | null;
}
