/** The methods of `pith.v1.Control` that show the fleet: its gateways, backends, routes, last hour, and log. */
import { type Clock, sleep } from '../clock.ts';
import { WireWriter } from '../contract/protobuf-wire.ts';
import { durationText } from '../contract/json-shapes.ts';
import { GatewayError } from '../errors.ts';
import { STEP_MS, STEPS } from '../telemetry/history.ts';
import type { BusApiParts } from './bus-api.ts';
import type { FleetStatus, Row } from './fleet-status.ts';
import { messageFrom } from './message-from.ts';
import { sumOfHistories, sumOfRoutes } from './fleet-sums.ts';
import type { MakeMethods, Methods } from './method.ts';
import type { Request } from './requests.ts';

/** Bytes of the rows in one answer. */
export const STATUS_BYTES_MAX = 524_288;
/** Concurrent WatchLog calls. */
export const LOG_WATCHES_MAX = 16;
/** Between two looks at the logs of the fleet. */
const LOG_LOOK_MS = 1_000;
/** After so long without a line, one says that the stream lives. */
const LOG_ALIVE_MS = 5_000;

export function fleetStatusMethods(
  status: FleetStatus,
  { one, held }: MakeMethods,
  clock: Clock,
): Methods {
  const watches = { open: 0 };
  return {
    ListGateways: one('ListGateways', () => listGateways(status)),
    ListBackends: one('ListBackends', ({ gateway = '' }) => listBackends(status, gateway)),
    ListRoutes: one('ListRoutes', () => listRoutes(status)),
    GetHistory: one('GetHistory', () => getHistory(status)),
    WatchLog: held('WatchLog', (request, _call, gone) =>
      watchLog(status, request, { clock, watches, gone }),
    ),
  };
}

/** WatchLog where there can be one answer only. */
export function fleetStatusPages(status: FleetStatus, { one }: MakeMethods): BusApiParts['pages'] {
  return {
    WatchLog: {
      type: 'pith.v1.LogPage',
      method: one('WatchLog', async (request) => {
        const { lines, silentGateways } = await new LogLook(status, request).next();
        const writer = new WireWriter();
        for (const line of lines) writer.bytes(1, line);
        writer.strings(2, silentGateways);
        return writer.take();
      }),
    },
  };
}

async function listGateways(status: FleetStatus): Promise<Buffer> {
  const { rows, silentGateways } = await status.ask('gateway');
  const silent = silentGateways.map((gateway) => ({ gateway, json: { state: 'silent' } }));
  const all = [...rows, ...silent].sort(byGateway);
  const writer = new WireWriter();
  for (const { gateway, json } of all) {
    const called = gateway === status.gatewayId;
    const message = messageFrom('GatewayStatus', { ...json, gateway, called });
    if (message !== null) writer.bytes(1, message);
  }
  return writer.take();
}

async function listBackends(status: FleetStatus, asked: string): Promise<Buffer> {
  const { rows, silentGateways, more } = await status.ask('backends');
  const wanted = rows.filter(({ gateway }) => asked === '' || gateway === asked);
  const name = ({ json }: Row): string => String(json['name']);
  wanted.sort((a, b) => compare(name(a), name(b)) || byGateway(a, b));
  const writer = new WireWriter();
  let bytes = 0;
  let isMore = more;
  for (const { gateway, json } of wanted) {
    const message = messageFrom('BackendStatus', { ...json, gateway });
    if (message === null) continue;
    bytes += message.length;
    isMore ||= bytes > STATUS_BYTES_MAX;
    if (bytes <= STATUS_BYTES_MAX) writer.bytes(1, message);
  }
  writer.strings(2, silentGateways);
  writer.bool(3, isMore);
  return writer.take();
}

async function listRoutes(status: FleetStatus): Promise<Buffer> {
  const { rows, silentGateways } = await status.ask('routes');
  const writer = new WireWriter();
  for (const route of sumOfRoutes(rows)) {
    const message = messageFrom('RouteStatus', route);
    if (message !== null) writer.bytes(1, message);
  }
  const own = rows.find(({ gateway }) => gateway === status.gatewayId)?.json['counted_for'];
  return Buffer.concat([
    writer.take(),
    messageFrom('ListRoutesResponse', {
      silent_gateways: [...silentGateways],
      ...(own !== undefined && { counted_for: own }),
    })!,
  ]);
}

async function getHistory(status: FleetStatus): Promise<Buffer> {
  const { rows, silentGateways } = await status.ask('history');
  const start = rows.find(({ gateway }) => gateway === status.gatewayId)?.json['start_ms'];
  const own = { startMs: Number(start ?? 0), stepMs: STEP_MS, steps: STEPS };
  const { startMs, stepMs, series } = sumOfHistories(rows, own);
  return messageFrom('History', {
    start: new Date(startMs).toISOString(),
    step: durationText(stepMs),
    series,
    silent_gateways: [...silentGateways],
  })!;
}

/** What is new in the logs of the fleet, from look to look. */
class LogLook {
  readonly #status: FleetStatus;
  readonly #level: string;
  /** By gateway: the last line that was seen. */
  readonly #seen = new Map<string, number>();

  /** @throws {GatewayError} The level is none. */
  constructor(status: FleetStatus, { level = '' }: Request) {
    if (!['', 'warn', 'error'].includes(level))
      throw new GatewayError('BAD_ARGUMENT', 'level is not warn or error');
    this.#status = status;
    this.#level = level;
  }

  async next(): Promise<{ lines: Buffer[]; silentGateways: readonly string[] }> {
    const after = Object.fromEntries(this.#seen);
    const { rows, silentGateways } = await this.#status.ask('log', { after });
    const lines: { readonly time: string; readonly bytes: Buffer }[] = [];
    for (const { gateway, json } of rows) {
      const { seq, time } = json;
      if (typeof seq !== 'number' || typeof time !== 'string') continue;
      const bytes = messageFrom('LogLine', { ...json, gateway });
      const isNew = seq > (this.#seen.get(gateway) ?? 0);
      if (bytes === null || !isNew) continue;
      this.#seen.set(gateway, seq);
      if (this.#level !== 'error' || json['level'] === 'error') lines.push({ time, bytes });
    }
    lines.sort((a, b) => compare(a.time, b.time));
    return { lines: lines.map(({ bytes }) => bytes), silentGateways };
  }
}

type LogWatchParts = {
  readonly clock: Clock;
  readonly watches: { open: number };
  /** Aborted when nobody reads any more. */
  readonly gone: AbortSignal;
};

async function* watchLog(
  status: FleetStatus,
  request: Request,
  { clock, watches, gone }: LogWatchParts,
): AsyncGenerator<Buffer> {
  const look = new LogLook(status, request);
  if (watches.open >= LOG_WATCHES_MAX)
    throw new GatewayError('OVERLOADED', `${LOG_WATCHES_MAX} logs are followed already`);
  watches.open++;
  try {
    for (let saidAt = -Infinity; !gone.aborted; await sleep(clock, LOG_LOOK_MS)) {
      const { lines, silentGateways } = await look.next();
      yield* lines;
      if (lines.length > 0) saidAt = clock.now();
      if (clock.now() - saidAt < LOG_ALIVE_MS) continue;
      saidAt = clock.now();
      yield messageFrom('LogLine', { silent_gateways: [...silentGateways] })!;
    }
  } finally {
    watches.open--;
  }
}

function byGateway(a: Row, b: Row): number {
  return compare(a.gateway, b.gateway);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
