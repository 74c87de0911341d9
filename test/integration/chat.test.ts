/** The whole way: clients on two transports, a real gateway, the chat backends in Go. */
import { describe, expect, test } from 'vitest';

import { CHAT_ROUTES as ROUTES, expectChat, expectLeave } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startGrpcChat, startNatsChat } from '../support/go.ts';
import { startNats } from '../support/nats.ts';

describe('the chat example', () => {
  test('on gRPC over a Link, with no bus at all', async () => {
    await using backend = await startGrpcChat();
    await using gateway = await startGateway(
      `backends: { chat: { grpc: "${backend.address}" } }\n${ROUTES}`,
    );
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    await using bob = await TestClient.connect(gateway.port, 'ws');
    await expectChat(ann, bob);
    await expectLeave(ann, bob);
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
    await expectLeave(ann, bob);
  });
});
