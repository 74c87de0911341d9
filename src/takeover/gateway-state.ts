/** What a gateway has beside its sessions, as text that the next process reads. */
import { ShapeError } from '../contract/json.ts';
import type { Entry } from '../orders/replica.ts';
import { parseAsWritten } from '../protocol/exact-json.ts';
import type { EndedLineage } from '../resume/ended-lineages.ts';
import { anObject, count, fieldsOf, listOf, number, orNull, type ReadAs, text } from './read-as.ts';
import { STATE_VERSION } from './session-state.ts';

export type GatewayState = {
  readonly version: number;
  readonly id: string;
  /** How many sessions come with it. */
  readonly sessions: number;
  /** Of its last connection. */
  readonly sessionsEver: number;
  /** null: it has no bus. */
  readonly bus: BusState | null;
  /** What operators have ordered. */
  readonly orders: readonly Entry[];
  /** Which sessions may not come back. */
  readonly ended: readonly EndedLineage[];
};

export type BusState = {
  /** Of its last event, and sessions that were told of and have not ended. */
  readonly seq: number;
  readonly announced: number;
  readonly term: number;
  readonly startedAtWall: number;
  /** Numbers of calls to backends up to this one are taken. */
  readonly calls: number;
};

const value: ReadAs<Entry['value']> = orNull(anObject as ReadAs<NonNullable<Entry['value']>>);

const order = fieldsOf<Entry>({ key: text, at: count, by: text, until: count, value });

const bus = fieldsOf<BusState>({
  ...{ seq: count, announced: count, term: count, startedAtWall: count, calls: count },
});

const ended = fieldsOf<EndedLineage>({ lineage: text, upTo: orNull(count), leftMs: number });

const gateway = fieldsOf<GatewayState>({
  ...{ version: count, id: text, sessions: count, sessionsEver: count, bus: orNull(bus) },
  ...{ orders: listOf(order), ended: listOf(ended) },
});

/** @throws {ShapeError} naming what is wrong. */
export function readGateway(json: string): GatewayState {
  let state: unknown;
  try {
    state = parseAsWritten(json);
  } catch {
    throw new ShapeError('the state of the gateway is not JSON');
  }
  const version = count(anObject(state, 'state')['version'], 'version');
  if (version !== STATE_VERSION)
    throw new ShapeError(
      `version ${version} of the state is not known here, only ${STATE_VERSION}`,
    );
  return gateway(state, '');
}
