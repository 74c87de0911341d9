/** What backends ask for by themselves, on a Link or on the lines of a Unix socket: pushes, and changes to sessions. */
import { inBackground } from '../background.ts';
import { FLEET_WAIT_MS, type FleetCommands } from '../bus/fleet-commands.ts';
import { errorText, type Failure, failure, isFailure } from '../errors.ts';
import { namesNobody, type Push } from '../contract/commands.ts';
import type { SessionVerb } from '../contract/backend-frames.ts';
import type { BackendCommands } from '../upstream/link/backend-commands.ts';
import type { DoneFields, PushedFields } from '../contract/gateway-frames.ts';
import { type DroppedParts, droppedTeller } from './dropped.ts';

export type DownlinkParts = DroppedParts & {
  readonly fleetCommands: FleetCommands;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
};

/** What a backend may ask for over its Link. */
export function makeBackendCommands(name: string, parts: DownlinkParts): BackendCommands {
  const { fleetCommands, log } = parts;
  const tell = droppedTeller(name, parts);
  return {
    convertBytesMax: parts.convertBytesMax,
    push: (push, counted) => {
      if (counted) return pushCounted(push);
      const refused = fleetCommands.push(push, null);
      if (refused !== null) tell('push', refused.message, ofPush(push, refused));
      return null;
    },
    verb: async (verb) => {
      try {
        const done = await runSessionVerb(verb, fleetCommands);
        const { failure: why } = done;
        if (why !== null) tell('change', why.message, { kind: why.reason });
        return done;
      } catch (error) {
        log.error({ backend: name, why: errorText(error) }, 'session change failed');
        return { changed: 0, version: 0, failure: failure('INTERNAL', errorText(error)) };
      }
    },
    onUnanswered: (what, error) => {
      log.error({ backend: name, what, why: errorText(error) }, 'not answered');
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
    tell('push', why.message, ofPush(push, why));
    return {
      ...{ delivered: 0, dropped: 0, refused: 0, gateways: 0 },
      ...{ unknownUids: [], unknownSids: [], silentGateways: [] },
      failure: why,
    };
  }
}

/** The same where nothing is answered: what is refused is told in the log alone. */
export function makeUncounted(
  name: string,
  parts: DownlinkParts,
): { push(push: Push): void; verb(verb: SessionVerb): void } {
  const { fleetCommands, log } = parts;
  const tell = droppedTeller(name, parts);
  return {
    push: (push) => {
      const refused = fleetCommands.push(push, null);
      if (refused !== null) tell('push', refused.message, ofPush(push, refused));
    },
    verb: (verb) => {
      const run = async (): Promise<void> => {
        const { failure: refused } = await runSessionVerb(verb, fleetCommands);
        if (refused !== null) tell('change', refused.message, { kind: refused.reason });
      };
      inBackground(run(), (error) => {
        log.error({ backend: name, why: errorText(error) }, 'session change failed');
      });
    },
  };
}

function ofPush({ route }: Push, { reason }: Failure): { route: string; kind: string } {
  return { route, kind: reason };
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
