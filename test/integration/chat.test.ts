/** The whole way: clients on two transports, a real gateway, the chat backends in Go. */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startGrpcChat, startNatsChat } from '../support/go.ts';
import { startNats } from '../support/nats.ts';

const ROUTES = `
routes:
  - { match: "chat.>", backend: chat, forward: [room] }
`;

async function expectChat(ann: TestClient, bob: TestClient): Promise<void> {
  expect(await ann.request('chat.room.join', { name: 'ann', room: 'lobby' })).toEqual({
    code: 200,
    room: 'lobby',
  });
  expect(await bob.request('chat.room.join', { name: 'bob', room: 'lobby' })).toEqual({
    code: 200,
    room: 'lobby',
  });
  expect(await ann.push('onJoin')).toEqual({ name: 'bob' });
  expect(await bob.request('chat.room.send', { text: 'hi' })).toEqual({ code: 200 });
  expect(await ann.push('onChat')).toEqual({ from: 'bob', text: 'hi' });
  expect(bob.pushes('onChat')).toEqual([]);
  expect(await ann.request('chat.room.whisper', { to: 'bob', text: 'psst' })).toMatchObject({
    code: 200,
  });
  await bob.wait(
    () => bob.pushes().find(({ body }) => body['text'] === 'psst'),
    5_000,
    'the whisper',
  );
  expect(await bob.request('chat.room.leave', {})).toMatchObject({ code: 200 });
  expect(await ann.push('onLeave')).toEqual({ name: 'bob' });
}

describe('the chat example', () => {
  test('on gRPC over a Link, with no bus at all', async () => {
    await using backend = await startGrpcChat();
    await using gateway = await startGateway(
      `backends: { chat: { grpc: "${backend.address}" } }\n${ROUTES}`,
    );
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    await using bob = await TestClient.connect(gateway.port, 'ws');
    await expectChat(ann, bob);
  });

  test('on gRPC where the backend has no Link: Handle is called', async () => {
    await using backend = await startGrpcChat({ LINK: 'off' });
    await using gateway = await startGateway(
      `backends: { chat: { grpc: "${backend.address}" } }\n${ROUTES}`,
    );
    await using ann = await TestClient.connect(gateway.port, 'ws');
    await using bob = await TestClient.connect(gateway.port, 'tcp');
    await expectChat(ann, bob);
    expect(gateway.log.some((line) => line['state'] === 'handle')).toBe(true);
  });

  test('on plain NATS', async () => {
    await using nats = await startNats();
    await using _backend = await startNatsChat(nats.url);
    await using gateway = await startGateway(
      `bus: ${nats.url}\nbackends: { chat: { nats: {} } }\n${ROUTES}`,
    );
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    await using bob = await TestClient.connect(gateway.port, 'ws');
    await expectChat(ann, bob);
  });
});
