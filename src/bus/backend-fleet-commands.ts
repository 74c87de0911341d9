/** The commands of one backend, carried out on all gateways; what is refused is reported as well as answered. */
import type { SessionVerb } from '../contract/backend-frames.ts';
import type { Push } from '../contract/commands.ts';
import type { DoneFields, PushedFields } from '../contract/gateway-frames.ts';
import { errorText, type Failure, failure, isFailure } from '../errors.ts';
import type { BackendCommands } from '../upstream/backend-commands.ts';
import type { BackendReport } from '../upstream/backend-report.ts';
import { FLEET_WAIT_MS } from './fleet-commands.ts';
import type { PassableCommands } from './passable-commands.ts';
import { notDone } from './session-verbs.ts';

export class BackendFleetCommands implements BackendCommands {
  readonly convertBytesMax: number;
  readonly report: BackendReport;
  readonly #fleet: PassableCommands;

  constructor(fleet: PassableCommands, report: BackendReport, convertBytesMax: number) {
    this.#fleet = fleet;
    this.report = report;
    this.convertBytesMax = convertBytesMax;
  }

  push(push: Push): void {
    const refused = this.#fleet.push(push, null);
    if (refused !== null) this.#pushRefused(push, refused);
  }

  async pushCounted(push: Push): Promise<PushedFields> {
    try {
      const outcome = await this.#fleet.pushCounted(push, FLEET_WAIT_MS);
      return isFailure(outcome) ? this.#pushRefused(push, outcome) : outcome;
    } catch (error) {
      return this.#pushRefused(push, failure('INTERNAL', errorText(error)));
    }
  }

  #pushRefused({ route }: Push, why: Failure): PushedFields {
    this.report.dropped('push', why.message, why.reason, { route });
    return {
      ...{ delivered: 0, dropped: 0, refused: 0, gateways: 0, kept: 0 },
      ...{ unknownUids: [], unknownSids: [], silentGateways: [] },
      failure: why,
    };
  }

  async verb(verb: SessionVerb, isAwaited: boolean): Promise<DoneFields> {
    try {
      const done = await this.#fleet.verb(verb, isAwaited);
      const { failure: why, changed } = done;
      const others =
        changed === 0
          ? ''
          : `; it was made in ${changed} other ${changed === 1 ? 'session' : 'sessions'}`;
      if (why !== null) this.report.dropped('change', why.message + others, why.reason);
      return done;
    } catch (error) {
      this.report.error('session change failed', { why: errorText(error) });
      return notDone(failure('INTERNAL', errorText(error)));
    }
  }
}
