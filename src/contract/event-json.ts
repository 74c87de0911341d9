/** The events of `event.proto` in JSON. Who publishes them adds the number that each has. */
import { type ClosedSession, forwarded, type LostGateway, type SessionFacts } from './facts.ts';
import type { JsonObject } from './commands.ts';
import { durationText, type SessionJson, sessionJson } from './json-shapes.ts';

/** What of a session an event tells besides the facts. */
export type EventView = {
  /** Keys of the session's data; with `*` among them all. */
  readonly data: readonly string[];
  readonly groups: boolean;
};

export function sessionView(session: SessionFacts, view: EventView): SessionJson {
  return {
    ...sessionJson(session),
    data: forwarded(session.data, view.data) ?? {},
    groups: view.groups ? [...session.groups] : [],
  };
}

/** What a ClosedEvent says besides the session and its number. */
export function endJson({ reason, closeReason, code, lastedMs }: ClosedSession): object {
  return { reason, code, lasted: durationText(lastedMs), close_reason: closeReason };
}

/** A ClosedEvent for a backend, as JSON text; only events on the bus have numbers. */
export function closedEventJson(closed: ClosedSession, data: readonly string[]): string {
  const session = sessionView(closed.session, { data, groups: true });
  return JSON.stringify({ session, ...endJson(closed), seq: '0' });
}

/** A LostEvent. */
export function lostJson(lost: LostGateway): JsonObject {
  const { id, gateway, sessions, lastHeardWall, lastSeq, term, by, seq } = lost;
  return {
    ...{ id, gateway, sessions, last_heard: new Date(lastHeardWall).toISOString() },
    ...{ last_seq: String(lastSeq), term, by, seq: String(seq) },
  };
}
