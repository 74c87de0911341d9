/** A change of a session on which its client waits. */
import type { SessionCommands } from '../bus/session-commands.ts';
import type { Patch } from '../contract/commands.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { Session } from '../session/session.ts';

/** Null when the changes are in force, and pushes by them arrive. */
export async function applied(
  sessionCommands: SessionCommands,
  session: Session,
  patch: Patch,
): Promise<Failure | null> {
  const asked = sessionCommands.patchAsked(session, patch, () => !isClosed(session));
  const changed = asked === null ? sessionCommands.patch(session, patch) : await asked;
  if (isFailure(changed)) return changed;
  await changed.confirmed;
  return null;
}

/** Anew each time: a session ends while something is awaited for it. */
export function isClosed({ state }: Session): boolean {
  return state === 'closed';
}
