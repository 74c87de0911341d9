/** What is said when an address cannot be bound. */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';

import { listenOrExplain } from '../../../src/transport/port.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { ManualClock } from '../../support/clock.ts';
import { openPort } from '../../support/open-port.ts';

test('a port that is taken: the key, the address as it is configured, and why', async () => {
  const other = net.createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const made = openPort(new TimerWheel(new ManualClock()))(() => {});
  const listening = made.listen({ host: '127.0.0.1', port });
  await expect(listenOrExplain('admin.listen', `localhost:${port}`, listening)).rejects.toThrow(
    new RegExp(`^admin\\.listen: cannot listen on localhost:${port}: listen EADDRINUSE`),
  );
  other.close();
});

test('one that is free: nothing', async () => {
  const made = openPort(new TimerWheel(new ManualClock()))(() => {});
  const listening = made.listen({ host: '127.0.0.1', port: 0 });
  expect(await listenOrExplain('admin.listen', '127.0.0.1:0', listening)).toBe(undefined);
  await made.close();
});
