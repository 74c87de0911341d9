/**
 * What a session needs to know of how its client speaks. A dialect is a family of servers that clients were
 * written for, as one listener serves it; a wire is how one profile of its clients is spoken to. Both are made
 * at start, never change, and are shared by all sessions that are alike.
 */
import type { KeyObject } from 'node:crypto';

import { type Failure, failure } from '../errors.ts';
import type { HandshakeCode, HandshakeRequest } from '../protocol/handshake.ts';
import type { Message, MessageFault } from '../protocol/message.ts';
import { type Encoded, PACKET_BODY_BYTES_MAX } from '../protocol/packet.ts';

export type DialectName = 'pomelo' | 'pitaya' | 'nano' | 'json';

const TOO_LONG = 'the backend answered with more than a packet holds';

/** The failure that stands for an answer that does not fit: in the form in which the client would read it. */
export function tooLong(): Failure {
  return failure('BAD_REPLY', TOO_LONG);
}

/** The failure that stands for a push that does not fit. */
export function pushTooLong(route: string): Failure {
  return failure('TOO_LARGE', `the push ${route.slice(0, 127)} is more than a packet holds`);
}

/** The failure that stands for an answer to a handshake that does not fit. */
export function handshakeTooLong(): Failure {
  return failure(
    'BAD_REPLY',
    `the answer to the handshake is more than the ${PACKET_BODY_BYTES_MAX} bytes that a packet holds`,
  );
}

/** A message that its sender could not have signed: what happens to it. */
export type BadSignature = 'drop' | 'close';

/**
 * auto: JSON is made readable, and protobuf where the protos know the route · raw: the bytes as they are · protobuf: the
 * same, and none at all is a message too.
 */
export type Codec = 'auto' | 'raw' | 'protobuf';

/** Whose message is read: the wire may learn from it how the client writes, and change. */
export interface CodecContext {
  wire: Wire;
  /** Verifies the client's signatures; null: it signs nothing. */
  publicKey: KeyObject | null;
}

/** How one profile of clients is spoken to. */
export interface Wire {
  /** Decodes a message. Returns what is wrong, and then `into` means nothing but its id. */
  decode(bytes: Buffer, into: Message): MessageFault | null;
  /** The number that the client itself knows as the id of a message, for whoever is told of it. */
  idOf(rawId: number): number;
  /** The body as the backend gets it; `raw`: the route wants the bytes as they are. */
  readBody(context: CodecContext, message: Message, raw: boolean): Buffer | Failure | BadSignature;
  /** The answer to a request; a failure when the body cannot be encoded for this client. */
  answer(rawId: number, route: string, body: Uint8Array, codec: Codec): Encoded | Failure;
  /**
   * The answer that says why there is none, whatever `why` holds; null: this dialect says nothing. `codec`: of the
   * route's rule; none where there is no rule.
   */
  failure(rawId: number, route: string, why: Failure, codec?: Codec): Encoded | null;
  /** A failure when it cannot be encoded for this client, or not in one packet. */
  push(route: string, body: Uint8Array): Encoded | Failure;
}

/** What a dialect does with packets, beside what is in them. */
export type DialectTraits = {
  /** Messages come in packets, or each in a WebSocket message of its own, as text. */
  readonly framing: 'packets' | 'text';
  /** DATA before the client's ack is dropped, or ends the connection. */
  readonly earlyData: 'ignore' | 'close';
  /** A message that cannot be decoded is dropped (and answered where it can be), or ends the connection. */
  readonly malformed: 'drop' | 'close';
  /**
   * answer: one at the ack, and one for each of the client's · tick: on our own clock · ping: likewise, by
   * WebSocket.
   */
  readonly heartbeat: 'answer' | 'tick' | 'ping';
  /** A session is active as soon as it is connected, unless who it is must be asked. */
  readonly activeAtOnce: boolean;
};

/** One dialect on one listener. */
export interface Dialect {
  readonly name: DialectName;
  readonly traits: DialectTraits;
  /** Largest body of a packet from a client, in bytes; Infinity: `limits.packet` decides alone. */
  readonly packetBytesMax: number;
  /** How a client is spoken to before it has said what it is. */
  readonly wire: Wire;
  /** null: no handshake of this dialect. */
  readHandshake(body: Buffer): HandshakeRequest | null;
  /** How a client that says this of itself is spoken to. */
  wireFor(request: HandshakeRequest): Wire;
  /** `user`: the application's own block; undefined: none. A failure when the whole fits in no packet. */
  accept(request: HandshakeRequest, user: unknown): Encoded | Failure;
  /** `why`: a backend's own words, which are left out where they fit in no packet. null: this dialect just closes. */
  refuse(code: HandshakeCode, why?: Failure): Encoded | null;
  /** null: this dialect has no kick packet, or it does not fit. */
  kick(body: Readonly<Record<string, unknown>>): Encoded | null;
}
