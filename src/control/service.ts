/**
 * `pith.v1.Control`: each method reads its message, does one thing through FleetCommands, and answers. It is the same
 * whichever way a call comes: `grpc-handlers.ts` on the control port, `json-api.ts` on the admin port.
 */
import { FLEET_WAIT_MS, type FleetCommands } from '../bus/fleet-commands.ts';
import { type Failure, GatewayError, isFailure, isOwnReason, REASONS } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import {
  type CloseMessage,
  type DurationMessage,
  durationMessage,
  durationMs,
  kickOf,
  type PushMessage,
  pushOf,
  pushResult,
  sessionMessage,
  type StructMessage,
  structJson,
  type TargetMessage,
  targetOf,
} from './shapes.ts';

/** Sessions of a ListSessions call that names no limit, and the most that one call gives. */
export const LIST_LIMIT = 1_000;
export const LIST_LIMIT_MAX = 100_000;
/** The longest that a push may wait for other gateways' counts. */
export const PUSH_WAIT_MS_MAX = 10_000;

/** What GetInfo tells. */
export type Info = {
  readonly gateway: string;
  readonly version: string;
  readonly state: string;
  readonly sessions: number;
  readonly bus: string;
  readonly backends: readonly {
    readonly name: string;
    readonly kind: string;
    readonly addresses: number;
    readonly healthy: number;
    readonly inFlight: number;
  }[];
  readonly uptimeMs: number;
};

export type ControlParts = {
  /** Bytes of JSON that are converted at once, `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number;
  readonly fleetCommands: FleetCommands;
  /** Gets the errors that are no caller's fault. */
  readonly log: Log;
  info(): Info;
};

/** What one method does. It throws; `controlError` says what the caller is told then. */
export type Method =
  | { readonly streams: false; run(request: unknown): Promise<object> }
  | { readonly streams: true; run(request: unknown): AsyncIterable<object> };

/** By name. Messages are as proto-loader makes and takes them. */
export type Methods = Readonly<Record<string, Method>>;

/** What a method of a later release is answered with. */
export function notServed(name: string, methods: Methods): string {
  const served = Object.keys(methods).join(', ');
  return `${name} is not in this release, which serves ${served}`;
}

/** The methods that there are; to the others both ways in answer that they are not served. */
export function controlMethods(parts: Pick<ControlParts, 'fleetCommands' | 'info'>): Methods {
  const { fleetCommands } = parts;
  return {
    Push: one(
      async ({ push, wait }: { push: PushMessage | null; wait: DurationMessage | null }) => {
        if (push === null) throw new GatewayError('BAD_ARGUMENT', 'push is missing');
        const waitMs = Math.min(durationMs(wait, FLEET_WAIT_MS), PUSH_WAIT_MS_MAX);
        return pushResult(orThrow(await fleetCommands.pushCounted(pushOf(push), waitMs)));
      },
    ),
    Kick: one(
      async ({ target, close }: { target: TargetMessage | null; close: CloseMessage | null }) =>
        orThrow(await fleetCommands.close(targetOf(target), kickOf(close))),
    ),
    Bind: one(async ({ sid, uid }: { sid: string; uid: string }) => {
      if (uid === '') throw new GatewayError('BAD_ARGUMENT', 'uid is missing');
      return change(fleetCommands, sid, { uid });
    }),
    Unbind: one(({ sid }: { sid: string }) => change(fleetCommands, sid, { uid: '' })),
    SetData: one(
      ({ sid, set, ifVersion }: { sid: string; set: StructMessage | null; ifVersion: number }) => {
        if (set === null) throw new GatewayError('BAD_ARGUMENT', 'set is missing');
        return change(fleetCommands, sid, { set: structJson(set), ifVersion });
      },
    ),
    GetSession: one(async ({ sid }: { sid: string }) =>
      sessionMessage(orThrow(await fleetCommands.get(sid))),
    ),
    GetInfo: one(() => {
      const { uptimeMs, ...info } = parts.info();
      return { ...info, uptime: durationMessage(uptimeMs) };
    }),
    ListSessions: many(async function* ({ target, limit, pageToken }: ListSessionsMessage) {
      const page = { limit: Math.min(limit || LIST_LIMIT, LIST_LIMIT_MAX), after: pageToken };
      for (const session of orThrow(await fleetCommands.list(targetOf(target), page)))
        yield sessionMessage(session);
    }),
  };
}

type ListSessionsMessage = {
  readonly target: TargetMessage | null;
  readonly limit: number;
  readonly pageToken: string;
};

function one<Request>(run: (request: Request) => Promise<object> | object): Method {
  // Synchronous trouble becomes a rejection too.
  return { streams: false, run: async (request) => run(request as Request) };
}

function many<Request>(run: (request: Request) => AsyncIterable<object>): Method {
  return { streams: true, run: (request) => run(request as Request) };
}

async function change(
  fleetCommands: FleetCommands,
  sid: string,
  patch: Parameters<FleetCommands['patch']>[1],
): Promise<object> {
  orThrow(await fleetCommands.patch(sid, patch));
  return sessionMessage(orThrow(await fleetCommands.get(sid)));
}

/** The value, or its Failure thrown. */
function orThrow<T extends object>(value: T | Failure): T {
  if (!isFailure(value)) return value;
  const { reason, message } = value;
  throw new GatewayError(isOwnReason(reason) ? reason : 'BACKEND_ERROR', message);
}

/** What a caller is told of an error; one that is no caller's fault is logged as well. */
export function controlError(error: unknown, log: Log): GatewayError {
  const known = GatewayError.from(error);
  if (REASONS[known.reason].log === 'error') log.error({ err: known.cause ?? known }, 'control');
  return known;
}
