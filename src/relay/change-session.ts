/** What a reply changes of its session: at once, or when others have said whether they hold its uid. */
import { inBackground } from '../background.ts';
import type { Patch } from '../contract/commands.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { Session } from '../session/session.ts';
import type { RelayParts } from './relay-parts.ts';

export interface Change {
  /** Its call is still open; one whose deadline has passed changes nothing. */
  readonly goesOn: () => boolean;
  /** It is applied, or refused with this reason. Not called once the call has ended. */
  readonly done: (refused: Failure | null) => void;
}

export function changeSession(
  parts: Pick<RelayParts, 'report' | 'sessionCommands'>,
  session: Session,
  patch: Patch,
  { goesOn, done }: Change,
): void {
  const { report, sessionCommands } = parts;
  const end = (changed: Failure | object): void => {
    const refused = isFailure(changed) ? changed : null;
    if (refused !== null) report.patchRefused(session, refused);
    done(refused);
  };
  const asked = sessionCommands.patchAsked(session, patch, goesOn);
  if (asked === null) {
    end(sessionCommands.patch(session, patch));
    return;
  }
  const endLate = (changed: Failure | object): void => {
    if (goesOn()) end(changed);
  };
  inBackground(asked.then(endLate), () => {
    endLate(failure('INTERNAL'));
  });
}
