/** `pith.v1.Control`: each method reads its message, does one thing through the reach, and answers. */
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  status,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { FLEET_WAIT_MS, type Reach } from '../bus/reach.ts';
import { errorText, type Failure, GatewayError, isOwnReason, REASONS } from '../errors.ts';
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
const LIST_LIMIT = 1_000;
const LIST_LIMIT_MAX = 100_000;
/** The longest that a push may wait for other gateways' counts. */
const PUSH_WAIT_MS_MAX = 10_000;

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
  readonly reach: Reach;
  info(): Info;
  /** Something that is no caller's fault. */
  onError(error: GatewayError): void;
};

type Unary<Request> = handleUnaryCall<Request, object>;

/** The handlers, by method; those that are not here answer UNIMPLEMENTED. */
export function controlService(parts: ControlParts): UntypedServiceImplementation {
  const { reach } = parts;
  const unary = <Request>(run: (request: Request) => Promise<object> | object): Unary<Request> => {
    return (call, callback) => {
      // Synchronous trouble becomes a rejection too.
      void Promise.resolve()
        .then(() => run(call.request))
        .then(
          (answer) => {
            callback(null, answer);
          },
          (error: unknown) => {
            callback(serviceError(error, parts));
          },
        );
    };
  };
  return {
    Push: unary(
      async ({ push, wait }: { push: PushMessage | null; wait: DurationMessage | null }) => {
        if (push === null) throw new GatewayError('BAD_ARGUMENT', 'push is missing');
        const waitMs = Math.min(durationMs(wait, FLEET_WAIT_MS), PUSH_WAIT_MS_MAX);
        return pushResult(orThrow(await reach.pushCounted(pushOf(push), waitMs)));
      },
    ),
    Kick: unary(
      async ({ target, close }: { target: TargetMessage | null; close: CloseMessage | null }) =>
        orThrow(await reach.close(targetOf(target), kickOf(close))),
    ),
    Bind: unary(async ({ sid, uid }: { sid: string; uid: string }) => {
      if (uid === '') throw new GatewayError('BAD_ARGUMENT', 'uid is missing');
      return change(reach, sid, { uid });
    }),
    Unbind: unary(({ sid }: { sid: string }) => change(reach, sid, { uid: '' })),
    SetData: unary(
      ({ sid, set, ifVersion }: { sid: string; set: StructMessage | null; ifVersion: number }) => {
        if (set === null) throw new GatewayError('BAD_ARGUMENT', 'set is missing');
        return change(reach, sid, { set: structJson(set), ifVersion });
      },
    ),
    GetSession: unary(async ({ sid }: { sid: string }) =>
      sessionMessage(orThrow(await reach.get(sid))),
    ),
    GetInfo: unary(() => {
      const { uptimeMs, ...info } = parts.info();
      return { ...info, uptime: durationMessage(uptimeMs) };
    }),
    ListSessions: listSessions(parts),
  } as unknown as UntypedServiceImplementation;
}

async function change(
  reach: Reach,
  sid: string,
  patch: Parameters<Reach['patch']>[1],
): Promise<object> {
  orThrow(await reach.patch(sid, patch));
  return sessionMessage(orThrow(await reach.get(sid)));
}

function listSessions(parts: ControlParts): handleServerStreamingCall<never, object> {
  return (call) => {
    const request = call.request as {
      target: TargetMessage | null;
      limit: number;
      pageToken: string;
    };
    const limit = Math.min(request.limit || LIST_LIMIT, LIST_LIMIT_MAX);
    parts.reach.list(targetOf(request.target), { limit, after: request.pageToken }).then(
      (sessions) => {
        for (const session of sessions) call.write(sessionMessage(session));
        call.end();
      },
      (error: unknown) => {
        call.destroy(Object.assign(new Error(), serviceError(error, parts)));
      },
    );
  };
}

/** The value, or its Failure thrown. */
function orThrow<T extends object>(value: T | Failure): T {
  if (!('retryAfterMs' in value && 'reason' in value)) return value;
  const why = value as Failure;
  throw new GatewayError(isOwnReason(why.reason) ? why.reason : 'BACKEND_ERROR', why.message);
}

function serviceError(error: unknown, parts: ControlParts): { code: status; details: string } {
  const known = GatewayError.from(error);
  const row = REASONS[known.reason];
  if (row.log === 'error') parts.onError(known);
  return { code: row.grpcStatus, details: `${known.reason}: ${errorText(known)}` };
}
