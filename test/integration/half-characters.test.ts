/**
 * Half a character, which JSON and JavaScript can say and UTF-8 cannot: from a backend's JSON, or where a text was cut.
 * No name is made of it, it stops no answer of ours, and ends nothing.
 */
import { expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { ipcStage } from '../support/ipc-backend.ts';

test('a name with half a character is refused, and its client told', async () => {
  await using stage = await ipcStage();
  for (const patch of [{ uid: 'x\ud83d' }, { join: ['room\udc00'] }]) {
    expect(await stage.ask({ payload: {}, patch })).toMatchObject({ reason: 'BAD_ARGUMENT' });
  }
  expect(stage.session()).toMatchObject({ uid: '', version: 0 });
});

test('operators are shown sessions whose data holds half a character', async () => {
  await using stage = await ipcStage();
  await using other = await TestClient.connect(stage.gateway.port);
  await other.request('world.map.look');
  const set = { name: 'x\ud83d', 'k\udc00': ['\ud83d\ude00'] };
  expect(await stage.ask({ payload: {}, patch: { set } })).toEqual({});
  const { sid } = stage.session();
  const shown = { sid, data: { name: 'x\ufffd', 'k\ufffd': ['😀'] } };
  expect(await admin(stage.gateway, 'GetSession', { sid })).toMatchObject({
    status: 200,
    lines: [shown],
  });
  const target = { all: true };
  expect((await admin(stage.gateway, 'ListSessions', { target })).lines).toHaveLength(2);
  const listed = await call(stage.gateway, 'ListSessions', { target });
  expect(listed.answers).toHaveLength(2);
  expect(listed.answers[0]).toMatchObject(shown);
});

test('a backend that dials in is told why not, whatever it calls itself', async () => {
  await using gateway = await startGateway(`
backends: { chat: { dial_in: { token: "" } } }
routes: [{ match: ">", backend: chat }]`);
  const backend = `${'a'.repeat(63)}😀`;
  expect(
    await call(gateway, 'pith.v1.Gateway/Attach', { frames: [{ hello: { backend } }] }),
  ).toMatchObject({
    status: 'InvalidArgument',
    text: `hello.backend is not a backend that has dial_in: ${'a'.repeat(63)}\ufffd`,
  });
});
