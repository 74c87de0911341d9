/**
 * `pith.v1.Control`: its methods, the same over every transport: `grpc-handlers.ts` on the control port, `json-api.ts`
 * on the admin port, `bus-api.ts` over NATS.
 */
import type { Clock } from '../clock.ts';
import type { FleetCommands } from '../bus/fleet-commands.ts';
import { CONVERT_BYTES } from '../protocol/conversion-limit.ts';
import type { Log } from '../telemetry/log.ts';
import type { Audit } from './audit.ts';
import { BusApi } from './bus-api.ts';
import { fleetMethods, fleetPages } from './fleet-methods.ts';
import { gatewayMethods, type OwnGateway } from './gateway-methods.ts';
import { makeMethods, type Methods } from './method.ts';

/** The service's full name. */
export const CONTROL = 'pith.v1.Control';

export type ControlParts = {
  /** Bytes of JSON that are converted at once, `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number;
  readonly fleetCommands: FleetCommands;
  readonly clock: Clock;
  /** For errors that are not the caller's fault. */
  readonly log: Log;
  readonly audit: Audit;
  /** The gateway itself. */
  readonly own: OwnGateway;
};

/** The methods of this release; all others are answered as not served. */
export function controlMethods(parts: Omit<ControlParts, 'log'>): Methods {
  const make = makeMethods(parts.convertBytesMax ?? CONVERT_BYTES, parts.clock, parts.audit);
  return {
    ...fleetMethods(parts.fleetCommands, make, parts.clock),
    ...gatewayMethods(parts.own, make),
  };
}

/** The same over NATS. @param servesOwn `bus_admin` */
export function busApi(parts: ControlParts, servesOwn: boolean): BusApi {
  const { audit, clock, convertBytesMax, fleetCommands, log, own } = parts;
  const make = makeMethods(convertBytesMax ?? CONVERT_BYTES, clock, audit);
  return new BusApi({
    methods: controlMethods(parts),
    pages: fleetPages(fleetCommands, make, clock),
    own: new Set(Object.keys(gatewayMethods(own, make))),
    servesOwn,
    service: CONTROL,
    clock,
    log,
    convertBytesMax,
  });
}
