/** What backends ask for by themselves, on a Link or on the lines of a Unix socket: pushes, and changes to sessions. */
import { inBackground } from '../background.ts';
import { FLEET_WAIT_MS, type FleetCommands } from '../bus/fleet-commands.ts';
import { errorText, type Failure, failure, isFailure } from '../errors.ts';
import { namesNobody, type Push } from '../contract/commands.ts';
import type { SessionVerb } from '../contract/backend-frames.ts';
import type { BackendCommands } from '../upstream/link/backend-commands.ts';
import type { DoneFields, PushedFields } from '../contract/gateway-frames.ts';
import type { BackendReport } from '../upstream/backend-report.ts';

export type DownlinkParts = {
  readonly fleetCommands: FleetCommands;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
};

/** What a backend may ask for over its Link. */
export function makeBackendCommands(report: BackendReport, parts: DownlinkParts): BackendCommands {
  const { fleetCommands } = parts;
  return {
    convertBytesMax: parts.convertBytesMax,
    push: (push, counted) => {
      if (counted) return pushCounted(push);
      const refused = fleetCommands.push(push, null);
      if (refused !== null)
        report.dropped('push', refused.message, refused.reason, { route: push.route });
      return null;
    },
    verb: async (verb) => {
      try {
        const done = await runSessionVerb(verb, fleetCommands);
        const { failure: why } = done;
        if (why !== null) report.dropped('change', why.message, why.reason);
        return done;
      } catch (error) {
        report.error('session change failed', { why: errorText(error) });
        return { changed: 0, version: 0, failure: failure('INTERNAL', errorText(error)) };
      }
    },
    onUnanswered: (what, error) => {
      report.error('not answered', { what, why: errorText(error) });
    },
  };

  async function pushCounted(push: Push): Promise<PushedFields> {
    try {
      const outcome = await fleetCommands.pushCounted(push, FLEET_WAIT_MS);
      return isFailure(outcome) ? toNobody(push, outcome) : outcome;
    } catch (error) {
      return toNobody(push, failure('INTERNAL', errorText(error)));
    }
  }

  function toNobody(push: Push, why: Failure): PushedFields {
    report.dropped('push', why.message, why.reason, { route: push.route });
    return {
      ...{ delivered: 0, dropped: 0, refused: 0, gateways: 0 },
      ...{ unknownUids: [], unknownSids: [], silentGateways: [] },
      failure: why,
    };
  }
}

/** The same where nothing is answered: what is refused is told in the log alone. */
export function makeUncounted(
  report: BackendReport,
  parts: DownlinkParts,
): { push(push: Push): void; verb(verb: SessionVerb): void } {
  const { fleetCommands } = parts;
  return {
    push: (push) => {
      const refused = fleetCommands.push(push, null);
      if (refused !== null)
        report.dropped('push', refused.message, refused.reason, { route: push.route });
    },
    verb: (verb) => {
      const run = async (): Promise<void> => {
        const { failure: refused } = await runSessionVerb(verb, fleetCommands);
        if (refused !== null) report.dropped('change', refused.message, refused.reason);
      };
      inBackground(run(), (error) => {
        report.error('session change failed', { why: errorText(error) });
      });
    },
  };
}

/** A patch takes effect at once, in the order of the frames; what it answers waits for the confirmation. */
async function runSessionVerb(
  verb: SessionVerb,
  fleetCommands: FleetCommands,
): Promise<DoneFields> {
  const { target, patch, close } = verb;
  if (patch?.fault !== undefined) return refused(failure('BAD_ARGUMENT', patch.fault));
  if (namesNobody(target))
    return refused(
      failure('BAD_ARGUMENT', 'the verb names nobody: give sids, uids, groups or all'),
    );
  if (close !== null) {
    const outcome = await fleetCommands.close(target, close);
    return isFailure(outcome)
      ? refused(outcome)
      : { changed: outcome.closed, version: 0, failure: null };
  }
  if (patch === null) return { changed: 0, version: 0, failure: null };
  const outcome = await fleetCommands.patchAll(target, patch);
  return isFailure(outcome) ? refused(outcome) : { ...outcome, failure: null };
}

function refused(why: Failure): DoneFields {
  return { changed: 0, version: 0, failure: why };
}
