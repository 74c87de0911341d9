/** What a reply changes of its session: at once, or when others have said whether they hold its uid. */
import { inBackground } from '../background.ts';
import type { Patch, Reply } from '../contract/commands.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { Session } from '../session/session.ts';
import type { RelayParts } from './relay-parts.ts';

export interface Change {
  /** Its call is still open; one whose deadline has passed changes nothing. */
  readonly goesOn: () => boolean;
  /** It is applied, or refused with this reason. Not called once the call has ended. @param reply What is kept of it. */
  readonly done: (reply: Reply, refused: Failure | null) => void;
}

/** @returns False: what had begun to be done to the session was done first, and has ended it, and the call with it. */
export function changeSession(
  parts: Pick<RelayParts, 'report' | 'sessionCommands'>,
  session: Session,
  reply: Reply & { readonly patch: Patch },
  { goesOn, done }: Change,
): boolean {
  const { report, sessionCommands } = parts;
  const end = (kept: Reply, changed: Failure | object): void => {
    const refused = isFailure(changed) ? changed : null;
    if (refused !== null) report.patchRefused(session, refused);
    done(kept, refused);
  };
  const asked = sessionCommands.patchAsked(session, reply.patch, goesOn);
  if (asked === null) {
    const changed = sessionCommands.patch(session, reply.patch);
    if (!goesOn()) return false;
    end(reply, changed);
    return true;
  }
  const kept = copyOf(reply);
  const endLate = (changed: Failure | object): void => {
    if (goesOn()) end(kept, changed);
  };
  inBackground(asked.then(endLate), () => {
    endLate(failure('INTERNAL'));
  });
  return true;
}

/** Bodies are views of what was read, and whoever has read it reads on. */
function copyOf(reply: Reply): Reply {
  const { body, failure: why, pushes } = reply;
  return {
    ...reply,
    body: body && Buffer.from(body),
    failure: why && {
      ...why,
      body: why.body && Buffer.from(why.body),
      bytes: why.bytes && Buffer.from(why.bytes),
    },
    pushes: pushes.map((push) => ({ ...push, body: Buffer.from(push.body) })),
  };
}
