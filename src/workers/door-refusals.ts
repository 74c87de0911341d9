/** Connections that the parent refused because no worker could take them: their log, and their part in the metrics. */
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Sample } from '../telemetry/samples.ts';
import { REFUSALS, type RefusedConnection } from '../transport/refused.ts';
import { isOfClients } from './words.ts';

export class DoorRefusals {
  readonly #log: Log;
  readonly #throttle: LogThrottle;
  /** By port and reason. */
  readonly #counts = new Map<string, Sample & { readonly value: number }>();

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#log = log;
    this.#throttle = new LogThrottle(clock);
  }

  /** @param door `listen[0]`, `health`, … @param detail What the system says; '': nothing. */
  note(door: string, why: RefusedConnection, detail = ''): void {
    this.#count(door, why);
    // Whoever connects decides how many there are.
    const more = this.#throttle.allow(`${door} ${why}`);
    if (more === null) return;
    const fields = { why, what: REFUSALS[why], listener: door, ...(detail !== '' && { detail }) };
    this.#log.warn({ ...fields, ...more }, 'connection refused');
  }

  samples(): Sample[] {
    return [...this.#counts.values()];
  }

  #count(door: string, why: RefusedConnection): void {
    const [name, labels] = isOfClients(door)
      ? (['pith_connections_refused_total', [why]] as const)
      : (['pith_port_connections_refused_total', [door, why]] as const);
    const key = labels.join(' ');
    const value = (this.#counts.get(key)?.value ?? 0) + 1;
    this.#counts.set(key, { name, labels, value });
  }
}
