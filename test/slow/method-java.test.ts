/** The rooms in Java do what the others do. Maven compiles them, which takes minutes at first. */
import { expect, test } from 'vitest';

import { expectRooms, roomsGateway, startJavaRooms } from '../support/method-rooms.ts';
import { run } from '../support/process.ts';

test('the rooms in Java', { timeout: 900_000 }, async (ctx) => {
  const maven = await run('mvn', ['-v']).catch(() => null);
  if (maven === null || maven.code !== 0) return ctx.skip('there is no Maven');
  await using rooms = await startJavaRooms();
  await using gateway = await roomsGateway(rooms.address, 'reflection: true');
  await expectRooms(gateway);
  expect(gateway.log.some(({ msg }) => msg === 'schema refused')).toBe(false);
});
