/**
 * `pith.v1.Control`: its methods, the same over every transport: `grpc-handlers.ts` on the control port, `json-api.ts`
 * on the admin port.
 */
import type { FleetCommands } from '../bus/fleet-commands.ts';
import { CONVERT_BYTES } from '../protocol/conversion-limit.ts';
import type { Log } from '../telemetry/log.ts';
import { fleetMethods } from './fleet-methods.ts';
import { infoMessage } from './messages.ts';
import { makeMethods, type Methods } from './method.ts';

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

/** The methods of this release; all others are answered as not served. */
export function controlMethods({
  fleetCommands,
  info,
  convertBytesMax = CONVERT_BYTES,
}: Omit<ControlParts, 'log'>): Methods {
  const make = makeMethods(convertBytesMax);
  return {
    ...fleetMethods(fleetCommands, make),
    GetInfo: make.one('GetInfo', () => infoMessage(info())),
  };
}
