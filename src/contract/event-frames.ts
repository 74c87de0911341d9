/** Events for backends in protobuf: the end of a session, and of a gateway. Shapes: proto/pith/v1. */
import type { JsonObject } from './commands.ts';
import { type ClosedSession, forwarded, type LostGateway, type SessionFacts } from './facts.ts';
import { encodeSession, writeFrame } from './gateway-frames.ts';
import { encodeMs, WireWriter } from './protobuf-wire.ts';
import { encodeStruct, StructError } from './struct.ts';

/** closed: a ClosedEvent · lost: a LostEvent. */
export type EventKind = 'closed' | 'lost';

/** Appends an event to a ToBackend message. */
export function writeEvent(writer: WireWriter, kind: EventKind, event: Buffer): void {
  writeFrame(writer, 0, kind, event);
}

/** @param keys Of the session's data; those of its values that no Struct can hold are left out. */
export function encodeClosed(closed: ClosedSession, keys: readonly string[]): Buffer {
  const writer = new WireWriter();
  writer.bytes(1, encodeView(closed.session, keys));
  writer.string(2, closed.reason);
  writer.int32(3, closed.code);
  writer.bytes(4, encodeMs(closed.lastedMs));
  writer.string(6, closed.closeReason);
  return writer.take();
}

export function encodeLost(lost: LostGateway): Buffer {
  const writer = new WireWriter();
  writer.string(1, lost.id);
  writer.string(2, lost.gateway);
  writer.uint(3, lost.sessions);
  writer.bytes(4, encodeMs(lost.lastHeardWall));
  writer.uint(5, lost.lastSeq);
  writer.uint(6, lost.term);
  writer.string(7, lost.by);
  writer.uint(8, lost.seq);
  return writer.take();
}

function encodeView(session: SessionFacts, keys: readonly string[]): Buffer {
  const data = forwarded(session.data, keys) ?? {};
  const groups = [...session.groups];
  try {
    return encodeSession(session, data, groups);
  } catch (error) {
    if (!(error instanceof StructError)) throw error;
    return encodeSession(session, encodable(data), groups);
  }
}

function encodable(data: JsonObject): JsonObject {
  const kept = Object.create(null) as JsonObject;
  for (const key of Object.keys(data)) {
    const one = { [key]: data[key]! };
    try {
      encodeStruct(one);
      kept[key] = one[key]!;
    } catch (error) {
      if (!(error instanceof StructError)) throw error;
    }
  }
  return kept;
}
