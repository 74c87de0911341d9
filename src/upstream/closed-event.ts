/** What backends that are told in JSON hear of a session's end: `pith.v1.ClosedEvent`. */
import { durationText, sessionJson } from '../contract/json-shapes.ts';
import type { ClosedSession } from './upstream.ts';

/** The event as JSON text; like the other ways to be told, it has neither data nor groups of the session. */
export function closedEventJson({ session, reason, code, lastedMs }: ClosedSession): string {
  return JSON.stringify({
    session: { ...sessionJson(session), data: {}, groups: [] },
    reason,
    code,
    lasted: durationText(lastedMs),
  });
}
