/**
 * `pith.v1.Control`: its methods, the same over every transport: `grpc-handlers.ts` on the control port, `json-api.ts`
 * on the admin port, `bus-api.ts` over NATS.
 */
import type { Clock } from '../clock.ts';
import type { FleetCommands } from '../bus/fleet-commands.ts';
import type { FleetWatches } from '../bus/fleet-watches.ts';
import { CONVERT_BYTES } from '../protocol/conversion-limit.ts';
import type { Orders } from '../orders/orders.ts';
import type { Log } from '../telemetry/log.ts';
import type { Audit } from './audit.ts';
import { BusApi } from './bus-api.ts';
import { fleetMethods, fleetPages } from './fleet-methods.ts';
import type { FleetStatus } from './fleet-status.ts';
import { fleetStatusMethods, fleetStatusPages } from './fleet-status-methods.ts';
import { gatewayMethods, type OwnGateway } from './gateway-methods.ts';
import { makeMethods, type MakeMethods, type Methods } from './method.ts';
import { profileMethods } from './profile-method.ts';
import { watchMethods } from './watch-method.ts';
import { blockMethods, blockPages, maintenanceMethods } from './order-methods.ts';

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
  readonly orders: Orders;
  /** What the gateways of the fleet tell of themselves. */
  readonly status: FleetStatus;
  readonly fleetWatches: FleetWatches;
  /** `admin.watch_bodies`, as it is now. */
  readonly mayShowBodies: () => boolean;
};

/** The methods of this release; all others are answered as not served. */
export function controlMethods(parts: Omit<ControlParts, 'log'>): Methods {
  const make = makeMethods(parts.convertBytesMax ?? CONVERT_BYTES, parts.clock, parts.audit);
  return {
    ...fleetMethods(parts.fleetCommands, make, parts.clock),
    ...blockMethods(parts, make),
    ...fleetStatusMethods(parts.status, make, parts.clock),
    ...watchMethods(parts.fleetWatches, make, parts.mayShowBodies),
    ...ownMethods(parts, make),
  };
}

/** Those that act on the called gateway. */
function ownMethods(
  parts: Pick<ControlParts, 'own' | 'orders' | 'fleetCommands' | 'clock'>,
  make: MakeMethods,
): Methods {
  const { own } = parts;
  return {
    ...gatewayMethods(own, make),
    ...maintenanceMethods(parts, own, make),
    ...profileMethods(parts, make),
  };
}

/** The same over NATS. @param servesOwn `bus_admin` */
export function busApi(parts: ControlParts, servesOwn: boolean): BusApi {
  const { audit, clock, convertBytesMax, fleetCommands, log, orders, status } = parts;
  const make = makeMethods(convertBytesMax ?? CONVERT_BYTES, clock, audit);
  return new BusApi({
    methods: controlMethods(parts),
    pages: {
      ...fleetPages(fleetCommands, make, clock),
      ...blockPages(orders, make),
      ...fleetStatusPages(status, make),
    },
    status,
    own: new Set(Object.keys(ownMethods(parts, make))),
    servesOwn,
    service: CONTROL,
    clock,
    log,
    convertBytesMax,
  });
}
