/** An access that lets everybody call, for servers that are started without a gateway. */
import { systemClock } from '../../src/clock.ts';
import { Access, type Caller } from '../../src/control/access.ts';
import { Audit } from '../../src/control/audit.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

export function openAccess(log: Log): Access {
  const parts = { clock: systemClock, log, metrics: new Metrics() };
  return new Access('admin', { tokens: [], spiffe: [] }, parts);
}

/** Whoever calls. */
export const ANYBODY: Caller = { via: 'grpc', name: '', address: '', role: 'write' };

/** An audit log that nobody reads. */
export function openAudit(log: Log): Audit {
  return new Audit({ clock: systemClock, log, metrics: new Metrics() });
}
