/** Ends of sessions and of gateways, told to a backend of each kind. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { startNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';
import { DialIn } from '../unit/upstream/dial-in/dial-in-backend.ts';

const GHOST = 'ghost-0123456789';

test('each is told of the end of a session that it saw, with its data, and of a gateway that is lost', async () => {
  await using nats = await startNats();
  await using link = await startLinkBackend((request) => {
    request.answer(
      {},
      {
        patch: {
          uid: 'ann',
          set: { fields: { room: { stringValue: 'lobby' }, other: { numberValue: 1 } } },
          join: ['room.lobby'],
        },
      },
    );
  });
  await using handle = await startLinkBackend((request) => request.answer({}), { link: false });
  await using http = await HttpBackend.start(() => ({ body: '{}' }));
  using socket = socketPath();
  await using ipc = await IpcBackend.start(socket.path);
  await using gateway = await startGateway(`
bus: ${nats.url}
events: { data: [mine] }
backends:
  link: { grpc: "${link.address}" }
  handle: { grpc: "${handle.address}", mode: handle }
  http: { http: "${http.url}" }
  ipc: { ipc: "unix://${socket.path}" }
  game: { dial_in: { token: secret } }
  idle: { http: "${http.url}/idle" }
routes:
  - { match: "link.>", backend: link, forward: [room] }
  - { match: "handle.>", backend: handle, forward: [room] }
  - { match: "http.>", backend: http, forward: [room] }
  - { match: "ipc.>", backend: ipc, forward: [room] }
  - { match: "game.>", backend: game, forward: [room] }
  - { match: "idle.>", backend: idle }`);
  await using attached = await DialIn.attach('WebSocket', gateway);
  await using client = await TestClient.connect(gateway.port);
  for (const name of ['link', 'handle', 'http', 'ipc', 'game'])
    await client.request(`${name}.room.join`, { mine: 1 });
  const sid = `${gateway.gateway.id}.1`;
  client.close();

  const json = { data: { room: 'lobby' }, groups: ['room.lobby'], uid: 'ann', sid };
  const struct = { fields: { room: { stringValue: 'lobby' } } };
  const closed = { reason: 'client_closed', code: 0 };
  const frame = () => attached.frames.find((one) => 'closed' in one)?.['closed'];
  for (const backend of [link, handle]) {
    await eventually(() => backend.told.length === 1, 'the end over gRPC');
    expect(backend.told).toMatchObject([
      { kind: 'closed', event: { ...closed, session: { ...json, data: struct } } },
    ]);
  }
  const { body } = await http.nth(0, '/pith/closed');
  expect(JSON.parse(body.toString())).toMatchObject({ ...closed, session: json });
  expect((await ipc.nth(0, 'pith.closed')).payload).toMatchObject({ ...closed, session: json });
  await eventually(frame, 'the end to the one that has attached');
  expect(frame()).toMatchObject({ ...closed, session: json });

  // A gateway that was there once.
  const nc = await nats.connect();
  const alive = {
    gateway: GHOST,
    seq: '9',
    sessions: 3,
    term: 1,
    started_at: '2026-01-01T00:00:00Z',
  };
  nc.publish('pith.event.gateway.alive', JSON.stringify(alive));
  const lost = {
    id: `lost.${GHOST}.1`,
    gateway: GHOST,
    sessions: 3,
    term: 1,
    by: gateway.gateway.id,
  };
  const asJson = { ...lost, last_seq: '9' };
  const asked = await http.nth(0, '/pith/lost');
  expect(JSON.parse(asked.body.toString())).toMatchObject(asJson);
  await http.nth(0, '/idle/pith/lost');
  expect((await ipc.nth(0, 'pith.lost')).payload).toMatchObject(asJson);
  for (const backend of [link, handle]) {
    await eventually(() => backend.told.length === 2, 'the loss over gRPC');
    expect(backend.told[1]).toMatchObject({ kind: 'lost', event: { ...lost, last_seq: 9 } });
  }
  const told = () => attached.frames.find((one) => 'lost' in one)?.['lost'];
  await eventually(told, 'the loss to the one that has attached');
  expect(told()).toMatchObject(asJson);
  expect(http.asked.filter(({ path }) => path === '/idle/pith/closed')).toEqual([]);
});
