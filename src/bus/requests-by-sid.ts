/** Sessions that another gateway holds: changed and looked up there, by their sid. */
import type { Patch } from '../contract/commands.ts';
import { readObject, type SessionJson } from '../contract/json-shapes.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { RequestsBySid } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import { readFailure } from './peer-reply.ts';
import type { RequestMany } from './request-many.ts';
import type { Changes } from './change-outcome.ts';
import { CONFIRM_MS_MAX } from './subscriptions.ts';
import { ASK_MS_MAX } from './uid-asks.ts';

type Fields = Record<string, unknown>;

export class NatsRequestsBySid implements RequestsBySid {
  readonly #subjects: BusParts['subjects'];
  readonly #requests: RequestMany;

  constructor({ subjects }: BusParts, requests: RequestMany) {
    this.#subjects = subjects;
    this.#requests = requests;
  }

  patch(sid: string, patch: Patch, waitMs: number): Promise<Changes | Failure> | Failure {
    const { uid, set, join, leave, ifVersion } = patch;
    const json = { uid, set, join, leave, if_version: ifVersion };
    // Longer than for other requests: the other gateway answers when the change is confirmed.
    const answerMs = waitMs + CONFIRM_MS_MAX + (uid === undefined || uid === '' ? 0 : ASK_MS_MAX);
    return this.#request(sid, 'patch', json, answerMs, ({ changed, version }) =>
      typeof changed === 'number' && typeof version === 'number' ? { changed, version } : null,
    );
  }

  get(sid: string, waitMs: number, stats = false): Promise<SessionJson | Failure> | Failure {
    return this.#request(sid, 'get', stats ? { stats } : {}, waitMs, ({ sessions }) => {
      const first = Array.isArray(sessions) ? (sessions[0] as SessionJson | undefined) : undefined;
      return first?.sid === sid ? first : null;
    });
  }

  /** Sends a verb to the gateway that holds the session. `read` returns null for what is not an answer to it. */
  #request<T extends object>(
    sid: string,
    verb: string,
    json: object,
    waitMs: number,
    read: (fields: Fields) => T | null,
  ): Promise<T | Failure> | Failure {
    const subject = this.#subjects.session(sid, verb);
    if (subject === null)
      return failure('BAD_ARGUMENT', `${JSON.stringify(sid.slice(0, 128))} is not a sid`);
    const gateway = sid.slice(0, sid.lastIndexOf('.'));
    let answer: T | Failure | null = null;
    const pending = this.#requests.send({
      subject,
      payload: Buffer.from(JSON.stringify(json)),
      waitMs,
      take: ({ data }) => {
        answer = readFrom(gateway, data, read);
        return answer !== null;
      },
    });
    if (isFailure(pending)) return pending;
    return pending.ended.then((outcome) => {
      if (answer !== null) return answer;
      return outcome === 'nobody'
        ? failure('NO_SESSION')
        : failure('TIMEOUT', 'the gateway that holds the session did not answer');
    });
  }
}

/** null: it is not an answer of that gateway. */
function readFrom<T extends object>(
  gateway: string,
  data: Uint8Array,
  read: (fields: Fields) => T | null,
): T | Failure | null {
  try {
    const fields = readObject(data);
    if (fields['gateway'] !== gateway) return null;
    return readFailure(fields['error']) ?? read(fields);
  } catch {
    return null;
  }
}
