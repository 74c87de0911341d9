/**
 * `pith.v1.Control`: each method reads its message, does one thing through FleetCommands, and answers. It is the same
 * over both transports: `grpc-handlers.ts` on the control port, `json-api.ts` on the admin port.
 */
import { FLEET_WAIT_MS, type FleetCommands } from '../bus/fleet-commands.ts';
import type { Close, Patch } from '../contract/commands.ts';
import { encodePushed } from '../contract/gateway-frames.ts';
import { type Failure, GatewayError, isFailure, isOwnReason, REASONS } from '../errors.ts';
import { CONVERT_BYTES } from '../protocol/conversion-limit.ts';
import type { Log } from '../telemetry/log.ts';
import { infoMessage, kickResult, readRequest, type Request, sessionMessage } from './messages.ts';

/** Default and maximum of sessions that one ListSessions call returns. */
export const LIST_LIMIT = 1_000;
export const LIST_LIMIT_MAX = 100_000;
/** The longest time that a push may wait for other gateways' counts. */
export const PUSH_WAIT_MS_MAX = 10_000;

/** The answer of GetInfo. */
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
  /** For errors that are not the caller's fault. */
  readonly log: Log;
  info(): Info;
};

/**
 * One method, from bytes to bytes. `convertBytesMax` is infinite for a request that has been checked before. It throws;
 * `controlError` makes the caller's error of that.
 */
export type Method =
  | { readonly streams: false; run(request: Buffer, convertBytesMax?: number): Promise<Buffer> }
  | {
      readonly streams: true;
      run(request: Buffer, convertBytesMax?: number): AsyncIterable<Buffer>;
    };

export type Methods = Readonly<Record<string, Method>>;

/** The answer for a method of a later release. */
export function notServed(name: string, methods: Methods): string {
  const served = Object.keys(methods).join(', ');
  return `${name} is not in this release, which serves ${served}`;
}

/** The methods of this release; all others are answered as not served. */
export function controlMethods({
  fleetCommands,
  info,
  convertBytesMax = CONVERT_BYTES,
}: Omit<ControlParts, 'log'>): Methods {
  const one = (name: string, run: (request: Request) => Promise<Buffer> | Buffer): Method => ({
    streams: false,
    // A synchronous error becomes a rejection too.
    run: async (bytes, bytesMax = convertBytesMax) => run(readRequest(name, bytes, bytesMax)),
  });
  const change = async (sid: string, patch: Patch): Promise<Buffer> => {
    orThrow(await fleetCommands.patch(sid, patch));
    return sessionMessage(orThrow(await fleetCommands.get(sid)));
  };
  return {
    Push: one('Push', async ({ push, waitMs = FLEET_WAIT_MS }) => {
      if (push === undefined) throw new GatewayError('BAD_ARGUMENT', 'push is missing');
      const most = Math.min(waitMs, PUSH_WAIT_MS_MAX);
      return encodePushed(orThrow(await fleetCommands.pushCounted(push, most)));
    }),
    Kick: one('Kick', async ({ target = {}, close = NO_CLOSE }) =>
      kickResult(orThrow(await fleetCommands.close(target, { ...close, kick: true }))),
    ),
    Bind: one('Bind', ({ sid = '', uid = '' }) => {
      if (uid === '') throw new GatewayError('BAD_ARGUMENT', 'uid is missing');
      return change(sid, { uid });
    }),
    Unbind: one('Unbind', ({ sid = '' }) => change(sid, { uid: '' })),
    SetData: one('SetData', ({ sid = '', set, ifVersion = 0 }) => {
      if (set === undefined) throw new GatewayError('BAD_ARGUMENT', 'set is missing');
      return change(sid, { set, ifVersion });
    }),
    GetSession: one('GetSession', async ({ sid = '' }) =>
      sessionMessage(orThrow(await fleetCommands.get(sid))),
    ),
    GetInfo: one('GetInfo', () => infoMessage(info())),
    ListSessions: {
      streams: true,
      async *run(bytes, bytesMax = convertBytesMax) {
        const request = readRequest('ListSessions', bytes, bytesMax);
        const { target = {}, limit = 0, pageToken = '' } = request;
        const page = { limit: Math.min(limit || LIST_LIMIT, LIST_LIMIT_MAX), after: pageToken };
        for (const session of orThrow(await fleetCommands.list(target, page)))
          yield sessionMessage(session);
      },
    },
  };
}

const NO_CLOSE: Close = { reason: '', code: 0, kick: true, retryAfterMs: 0 };

/** The value, or its Failure thrown. */
function orThrow<T extends object>(value: T | Failure): T {
  if (!isFailure(value)) return value;
  const { reason, message } = value;
  throw new GatewayError(isOwnReason(reason) ? reason : 'BACKEND_ERROR', message);
}

/** The caller's error; one that is not the caller's fault is logged as well. */
export function controlError(error: unknown, log: Log): GatewayError {
  const known = GatewayError.from(error);
  if (REASONS[known.reason].log === 'error')
    log.error({ err: known.cause ?? known }, 'control call failed');
  return known;
}
