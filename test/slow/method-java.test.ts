/** The rooms in Java do what the others do. Maven compiles them, which takes minutes at first. */
import { test } from 'vitest';

import { expectRooms, roomsGateway, startJavaRooms } from '../support/method-rooms.ts';
import { run } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

test('the rooms in Java', { timeout: 900_000 }, async (ctx) => {
  const maven = await run('mvn', ['-v']).catch(() => null);
  if (maven === null || maven.code !== 0) return ctx.skip('there is no Maven');
  await using rooms = await startJavaRooms();
  await using gateway = await roomsGateway(rooms.address, 'reflection: true');
  // A fresh JVM is slow with its first call.
  await eventually(() => gateway.log.find(({ msg }) => msg === 'schema'), 'the schema');
  await expectRooms(gateway);
});
