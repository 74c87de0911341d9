/** Pushes to groups that are numbered, on their way to sessions; `session/deltas.ts` is what they are numbered for. */
import { isOneGroup, type Push, type Target } from '../contract/commands.ts';
import { type Failure, failure } from '../errors.ts';
import type { Encoded } from '../protocol/packet.ts';
import type { Perishable, Taken } from '../session/outbox.ts';
import type { Session } from '../session/session.ts';

/** Why a push to `target` cannot have the number that it has; null: it can, or has none. */
export function cursorRefusal({ cursor }: Push, target: Target): Failure | null {
  if (cursor === undefined || isOneGroup(target)) return null;
  return failure(
    'BAD_ARGUMENT',
    'push.cursor is a number among the pushes to one group: the target must be one group, and nobody else',
  );
}

/** What is for a group may have to wait for a snapshot of it; everything else goes into the outbox. */
export function put(
  session: Session,
  push: Push,
  encoded: Encoded,
  perishable: Perishable | null,
): Taken | 'closed' {
  const { deltas } = session;
  const groups = push.target?.groups;
  if (deltas === null || !groups?.length) return session.push(encoded, perishable);
  return deltas.put(push, groups, encoded, perishable);
}

/** Tells a member of the group who is told of gaps, and for whom this push is not, that nothing is missing. */
export function passOver({ deltas }: Session, { cursor, target }: Push): void {
  if (deltas === null || cursor === undefined) return;
  for (const group of target?.groups ?? []) deltas.pass(group, cursor);
}
