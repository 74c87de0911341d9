/** What the gateways of the fleet tell of themselves, gathered: this one's rows, and those of the others. */
import type { StatusKind } from '../bus/bus.ts';
import type { FleetCommands } from '../bus/fleet-commands.ts';
import { isObject } from '../protocol/exact-json.ts';
import { orThrow } from './method.ts';

/** What this gateway tells, by kind; each row is a message of the contract in JSON, or as its method reads it. */
export type OwnStatus = {
  readonly [kind in StatusKind]: (fields: Readonly<Record<string, unknown>>) => readonly object[];
};

export type Row = { readonly gateway: string; readonly json: Readonly<Record<string, unknown>> };

export type FleetRows = {
  readonly rows: readonly Row[];
  readonly silentGateways: readonly string[];
  /** Some gateway had more to tell than fits. */
  readonly more: boolean;
};

export class FleetStatus {
  readonly gatewayId: string;
  readonly #fleet: FleetCommands;
  readonly #own: OwnStatus;

  constructor(gatewayId: string, fleet: FleetCommands, own: OwnStatus) {
    this.gatewayId = gatewayId;
    this.#fleet = fleet;
    this.#own = own;
  }

  own(kind: StatusKind, fields: Readonly<Record<string, unknown>>): readonly object[] {
    return this.#own[kind](fields);
  }

  /** Asks all gateways, this one first. */
  async ask(kind: StatusKind, fields: Readonly<Record<string, unknown>> = {}): Promise<FleetRows> {
    const call = orThrow(this.#fleet.status(kind, fields));
    const rows: Row[] = this.own(kind, fields).map((row) => ({
      gateway: this.gatewayId,
      json: row as Row['json'],
    }));
    const { answers, silentGateways } = await call;
    let isMore = false;
    for (const { gateway, status = [], more = false } of answers) {
      isMore ||= more;
      // What another gateway says is of another release, or of whoever else may use the bus.
      for (const json of status) if (isObject(json)) rows.push({ gateway, json });
    }
    return { rows, silentGateways, more: isMore };
  }
}
