/** What a watch shows, as `pith.v1.WatchEvent` has it. */
import { isUtf8 } from 'node:buffer';

import { encodeMs, WireWriter } from '../contract/protobuf-wire.ts';

/** By the names of `pith.v1.WatchEvent`. What is absent does not apply. */
export type WatchEvent = {
  readonly kind: string;
  readonly direction?: 'in' | 'out' | '';
  readonly gateway: string;
  /** Milliseconds since the epoch. */
  readonly atWall: number;
  readonly sid?: string;
  readonly uid?: string;
  readonly ref?: string;
  readonly route?: string;
  readonly id?: number;
  readonly bytes?: number;
  /** Of it the first `BODY_BYTES_MAX` are shown. */
  readonly body?: Uint8Array;
  readonly rule?: string;
  readonly backend?: string;
  readonly address?: string;
  readonly waitedMs?: number;
  readonly tookMs?: number;
  readonly retries?: number;
  readonly code?: number;
  readonly reason?: string;
  readonly note?: string;
  readonly overRate?: number;
  readonly unread?: number;
  readonly sessions?: number;
  readonly gateways?: readonly string[];
  readonly silentGateways?: readonly string[];
};

/** Bytes of a body that are shown. */
export const BODY_BYTES_MAX = 16_384;
/** Characters of any text. */
const TEXT_CHARS_MAX = 1_024;

export function encodeWatchEvent(event: WatchEvent): Buffer {
  const writer = new WireWriter();
  const text = (field: number, value = ''): void => {
    if (value !== '') writer.string(field, value.slice(0, TEXT_CHARS_MAX).toWellFormed());
  };
  text(1, event.kind);
  text(2, event.direction);
  text(3, event.gateway);
  writer.bytes(4, encodeMs(event.atWall));
  text(5, event.sid);
  text(6, event.uid);
  text(7, event.ref);
  text(8, event.route);
  writer.uint(9, event.id ?? 0);
  writer.uint(10, event.bytes ?? 0);
  if (event.body !== undefined) writer.bytes(11, encodeBody(event.body));
  text(12, event.rule);
  text(13, event.backend);
  text(14, event.address);
  if (event.waitedMs !== undefined) writer.bytes(15, encodeMs(event.waitedMs));
  if (event.tookMs !== undefined) writer.bytes(16, encodeMs(event.tookMs));
  writer.uint(17, event.retries ?? 0);
  writer.int32(18, event.code ?? 0);
  text(19, event.reason);
  text(20, event.note);
  writer.uint(21, event.overRate ?? 0);
  writer.uint(22, event.unread ?? 0);
  writer.uint(23, event.sessions ?? 0);
  writer.strings(24, event.gateways ?? []);
  writer.strings(25, event.silentGateways ?? []);
  return writer.take();
}

/** As text where it is text: that is what people can read. */
function encodeBody(body: Uint8Array): Buffer {
  const writer = new WireWriter();
  const isText = isUtf8(body);
  writer.bytes(isText ? 3 : 1, isText ? cutText(body) : body.subarray(0, BODY_BYTES_MAX));
  return writer.take();
}

/** Without the part of a character at its end. */
function cutText(body: Uint8Array): Uint8Array {
  if (body.length <= BODY_BYTES_MAX) return body;
  let end = BODY_BYTES_MAX;
  // The bytes that go on with a character. [RFC 3629 section 3]
  while (end > 0 && (body[end]! & 0xc0) === 0x80) end--;
  return body.subarray(0, end);
}
