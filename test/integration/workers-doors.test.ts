/** The parent's ports: what becomes of connections that no worker can take. */
import { once } from 'node:events';
import net from 'node:net';

import { expect, test } from 'vitest';

import { systemClock } from '../../src/clock.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { Doors, type Keeper, logRefusals } from '../../src/workers/doors.ts';

test('connections that no worker can take are refused, and the log has the first of them', async () => {
  const lines: object[] = [];
  const log = { warn: (fields: object) => lines.push(fields) } as unknown as Log;
  const doors = new Doors(logRefusals({ clock: systemClock, log }));
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
      door: 'listen[0]',
      error: 'all workers have too many connections before them',
    })),
  );
});
