/** The parent's ports: what becomes of connections that no worker can take. */
import { once } from 'node:events';
import net from 'node:net';

import { expect, test } from 'vitest';

import { systemClock } from '../../src/clock.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { DoorRefusals } from '../../src/workers/door-refusals.ts';
import { Doors, type Keeper } from '../../src/workers/doors.ts';

const NO_LOG = { warn() {} } as unknown as Log;

test('connections that no worker can take are refused and counted, and the log has the first of them', async () => {
  const lines: object[] = [];
  const log = { warn: (fields: object) => lines.push(fields) } as unknown as Log;
  const refusals = new DoorRefusals({ clock: systemClock, log });
  const doors = new Doors(refusals);
  const full: Keeper = { load: 5_000, isSilent: false, take: () => false };
  const { address } = await doors.open(
    { door: 'listen[0]', address: { host: '127.0.0.1', port: 0 }, backlog: 128 },
    full,
  );
  for (let i = 0; i < 20; i++) {
    const socket = net.connect(address!.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'close');
  }
  doors.shut('listen[0]', full, true);
  expect(lines).toEqual(
    Array.from({ length: 5 }, () => ({
      why: 'workers_full',
      what: 'with `workers`: 4,096 new connections wait for each of them already, in a rush or because they hang: run more gateways',
      listener: 'listen[0]',
    })),
  );
  expect(refusals.samples()).toEqual([
    { name: 'pith_connections_refused_total', labels: ['workers_full'], value: 20 },
  ]);
});

test('connections wait while no worker is there, and as many as may; of the health port they count with that port', async () => {
  const refusals = new DoorRefusals({ clock: systemClock, log: NO_LOG });
  const doors = new Doors(refusals);
  const taken: string[] = [];
  const gone: Keeper = { load: null, isSilent: false, take: () => false };
  const next: Keeper = {
    ...{ load: 0, isSilent: false },
    take(door, handle) {
      taken.push(door);
      handle.close();
      return true;
    },
  };
  const { address } = await doors.open(
    { door: 'health', address: { host: '127.0.0.1', port: 0 }, backlog: 2_048 },
    gone,
  );
  doors.left(gone, []);
  const sockets = Array.from({ length: 1_030 }, () => {
    const socket = net.connect(address!.port, '127.0.0.1');
    socket.on('error', () => {});
    return socket.resume();
  });
  await expect
    .poll(() => refusals.samples())
    .toEqual([
      { name: 'pith_port_connections_refused_total', labels: ['health', 'no_worker'], value: 6 },
    ]);
  await doors.open(
    { door: 'health', address: { host: '127.0.0.1', port: 0 }, backlog: 2_048 },
    next,
  );
  expect(taken).toHaveLength(1_024);
  doors.shut('health', next, true);
  for (const socket of sockets) socket.destroy();
});
