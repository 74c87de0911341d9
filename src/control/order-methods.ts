/** The methods of `pith.v1.Control` by which operators give the whole fleet its orders. */
import type { FleetCommands } from '../bus/fleet-commands.ts';
import { type Clock, nextTurn } from '../clock.ts';
import { encodeMs, WireWriter } from '../contract/protobuf-wire.ts';
import { GatewayError } from '../errors.ts';
import { type Blocked, keyOf, readBlocked } from '../orders/block.ts';
import { type ListedBlock, type Orders, type Outcome, placeOf } from '../orders/orders.ts';
import { HANDSHAKE_CODE } from '../orders/pause-json.ts';
import type { BusApiParts } from './bus-api.ts';
import type { OwnGateway } from './gateway-methods.ts';
import { type MakeMethods, type Methods, orThrow } from './method.ts';
import type { Request } from './requests.ts';

/** Blocks on one page over NATS: at most about 300 KiB. */
export const BLOCKS_PAGE_MAX = 1_000;
/** Blocks that are encoded in one turn of the event loop. */
const BLOCKS_PER_TURN = 500;

type OrderParts = {
  readonly orders: Orders;
  readonly fleetCommands: Pick<FleetCommands, 'inTurn'>;
  readonly clock: Clock;
};

/** Those that any gateway carries out for all. */
export function blockMethods(
  { orders, fleetCommands, clock }: OrderParts,
  { one, many }: MakeMethods,
): Methods {
  return {
    Block: one('Block', async (request, call) => {
      const blocked = blockedOf(request);
      const { reason = '', lastsMs } = request;
      if (lastsMs === 0)
        throw new GatewayError(
          'BAD_ARGUMENT',
          'expires_in is 0; leave it out for a block without end',
        );
      const block = { reason, lastsMs: lastsMs ?? 0 };
      const outcome = orThrow(await fleetCommands.inTurn(() => orders.block(blocked, block)));
      call.touched = outcome.closed;
      return blockResult(orders.listed(blocked), outcome);
    }),
    Unblock: one('Unblock', async (request) => {
      const blocked = blockedOf(request);
      const outcome = orThrow(await fleetCommands.inTurn(() => orders.unblock(blocked)));
      return unblockResult(outcome, orders.blocks.file.get(keyOf(blocked)) !== undefined);
    }),
    ListBlocks: many('ListBlocks', async function* ({ limit = 0, pageToken = '' }) {
      let n = 0;
      let last = '';
      for (const block of orders.list(pageToken)) {
        if (limit > 0 && n === limit) {
          const token = new WireWriter();
          token.string(9, last);
          yield token.take();
          return;
        }
        yield blockInfo(block);
        last = placeOf(block);
        if (++n % BLOCKS_PER_TURN === 0) await nextTurn(clock);
      }
    }),
  };
}

/** ListBlocks where there can be one answer only. */
export function blockPages(orders: Orders, { one }: MakeMethods): BusApiParts['pages'] {
  return {
    ListBlocks: {
      type: 'pith.v1.BlockPage',
      method: one('ListBlocks', ({ limit = 0, pageToken = '' }) => {
        const most = Math.min(limit || BLOCKS_PAGE_MAX, BLOCKS_PAGE_MAX);
        const writer = new WireWriter();
        let n = 0;
        let last = '';
        for (const block of orders.list(pageToken)) {
          if (n++ === most) {
            writer.string(2, last);
            break;
          }
          writer.bytes(1, blockInfo(block));
          last = placeOf(block);
        }
        return writer.take();
      }),
    },
  };
}

/** Those that are about the called gateway, or begin there. */
export function maintenanceMethods(
  { orders, fleetCommands }: OrderParts,
  own: Pick<OwnGateway, 'pauseHere'>,
  { one }: MakeMethods,
): Methods {
  return {
    SetMaintenance: one('SetMaintenance', async (request, call) => {
      const { on = false, scope = 'fleet', routes = [], allowUids = [], message = '' } = request;
      const { handshakeCode = 0 } = request;
      // What is not on the wire, because it is the default, was asked for as well.
      call.request = { ...request, on, scope: scope || 'fleet' };
      const pause = { routes, allowUids, message, handshakeCode: handshakeCode || HANDSHAKE_CODE };
      if (scope !== 'fleet' && scope !== '' && scope !== 'gateway')
        throw new GatewayError('BAD_ARGUMENT', 'scope is not fleet or gateway');
      const begun = on ? pause : null;
      if (scope !== 'gateway') {
        const outcome = await fleetCommands.inTurn(() => orders.pauseFleet(begun));
        return maintenanceState(orders, orThrow(outcome));
      }
      const refused = await fleetCommands.inTurn(async () => own.pauseHere(begun));
      if (refused !== null) orThrow(refused);
      return maintenanceState(orders, null);
    }),
    GetMaintenance: one('GetMaintenance', () => maintenanceState(orders, null)),
  };
}

function blockedOf({ network, uid, client }: Request): Blocked {
  const blocked = readBlocked({ network, uid, client });
  if (typeof blocked === 'string') throw new GatewayError('BAD_ARGUMENT', blocked);
  return blocked;
}

function blockInfo({ kind, value, reason, until, source, setAtWall, by }: ListedBlock): Buffer {
  const writer = new WireWriter();
  writer.string({ network: 1, uid: 2, client: 3 }[kind], value);
  writer.string(4, reason);
  if (until > 0) writer.bytes(5, encodeMs(until));
  writer.string(6, source);
  if (setAtWall > 0) writer.bytes(7, encodeMs(setAtWall));
  writer.string(8, by);
  return writer.take();
}

function blockResult(block: ListedBlock | undefined, outcome: Outcome): Buffer {
  const writer = new WireWriter();
  // It may have ended, or been removed, while the others were told.
  if (block !== undefined) writer.bytes(1, blockInfo(block));
  writer.uint(2, outcome.closed);
  writer.uint(3, outcome.gateways);
  writer.strings(4, outcome.silentGateways);
  return writer.take();
}

function unblockResult(outcome: Outcome & { readonly found: boolean }, inFile: boolean): Buffer {
  const writer = new WireWriter();
  writer.bool(1, outcome.found);
  writer.bool(2, inFile);
  writer.uint(3, outcome.gateways);
  writer.strings(4, outcome.silentGateways);
  return writer.take();
}

/** @param outcome null: nobody was told. */
function maintenanceState({ maintenance }: Orders, outcome: Outcome | null): Buffer {
  const writer = new WireWriter();
  writer.bool(1, maintenance.isOn);
  for (const {
    source,
    routes,
    allowUids,
    message,
    handshakeCode,
    sinceWall,
    by,
  } of maintenance.active) {
    const one = new WireWriter();
    one.string(1, source);
    one.strings(2, routes);
    one.strings(3, allowUids);
    one.string(4, message.toWellFormed());
    one.uint(5, handshakeCode);
    if (sinceWall > 0) one.bytes(6, encodeMs(sinceWall));
    one.string(7, by);
    writer.bytes(2, one.take());
  }
  if (outcome !== null) {
    writer.uint(4, outcome.gateways);
    writer.strings(5, outcome.silentGateways);
  }
  return writer.take();
}
