/** What gateways say to each other of watches, in JSON. Nothing in it is trusted: others use the bus too. */
import { flagOf, ShapeError, textOf } from '../contract/json.ts';
import { readObject, readTarget, targetJson } from '../contract/json-shapes.ts';
import { WireError, WireReader } from '../contract/protobuf-wire.ts';
import { PER_SECOND_MAX, type WatchSpec } from '../watch/watch.ts';

/** One gateway asks the others to show what they see; again and again, as long as it wants to know. */
export type WatchAsk = {
  readonly gateway: string;
  /** Of its watches. */
  readonly id: string;
  /** null: it does not want to know any more. */
  readonly spec: WatchSpec | null;
};

export type WatchAnswer = {
  readonly gateway: string;
  /** It knows what is asked, and does it. */
  readonly isOn: boolean;
  /** How many sessions it sees. */
  readonly sessions: number;
  readonly events: readonly Buffer[];
};

/** Characters of a watch's id. */
const ID_CHARS_MAX = 64;
/** Events in one answer; more would not fit into a message. */
const EVENTS_MAX = 4_096;

export function askJson(id: string, spec: WatchSpec | null): object {
  if (spec === null) return { id, end: true };
  const { target, route, bodies, perSecond } = spec;
  return { id, target: targetJson(target), route, bodies, per_second: perSecond };
}

/** null: it cannot be one. @throws {ShapeError} A field is of a wrong type. */
export function readWatchAsk(fields: Readonly<Record<string, unknown>>): WatchAsk | null {
  const gateway = textOf(fields['gateway'], 'gateway');
  const id = textOf(fields['id'], 'id');
  if (id === '' || id.length > ID_CHARS_MAX) return null;
  if (fields['end'] === true) return { gateway, id, spec: null };
  const perSecond = fields['per_second'];
  if (!Number.isInteger(perSecond) || (perSecond as number) < 1)
    throw new ShapeError('per_second is not a number from 1');
  const spec = {
    target: readTarget(fields['target']),
    route: textOf(fields['route'], 'route'),
    bodies: flagOf(fields['bodies'], 'bodies'),
    perSecond: Math.min(perSecond as number, PER_SECOND_MAX),
  };
  return { gateway, id, spec };
}

/** null: it names no gateway, or cannot be read. What is wrong in it counts as absent. */
export function readWatchAnswer(payload: Uint8Array): WatchAnswer | null {
  let fields: Record<string, unknown>;
  try {
    fields = readObject(payload);
  } catch {
    return null;
  }
  const { gateway, did, watching, sessions, events } = fields;
  if (typeof gateway !== 'string') return null;
  const rows: unknown[] = Array.isArray(events) ? events.slice(0, EVENTS_MAX) : [];
  return {
    gateway,
    isOn: did === 'watch' && watching === true,
    sessions: Number.isSafeInteger(sessions) ? Math.max(0, sessions as number) : 0,
    events: rows.flatMap((row) => {
      const event = typeof row === 'string' ? Buffer.from(row, 'base64') : null;
      return event !== null && isMessage(event) ? [event] : [];
    }),
  };
}

/** A protobuf message of any kind. */
function isMessage(bytes: Buffer): boolean {
  try {
    const reader = new WireReader(bytes);
    while (reader.next()) reader.skip();
    return bytes.length > 0;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}
