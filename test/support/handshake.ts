/** Handshakes with a block of the application's own, as games send their tokens. */
import { PacketType } from '../../src/protocol/packet.ts';
import { TestClient } from './client.ts';

/** Says the handshake of a client that is open. */
export function say(client: TestClient, user: unknown): void {
  const sys = { type: 'test', version: '1.2', rsa: {} };
  client.packet(PacketType.HANDSHAKE, Buffer.from(JSON.stringify({ sys, user })));
}

/** Connects and says `user`; the client, and what the gateway answered. */
export async function shake(
  port: number,
  user: unknown = {},
  transport: 'tcp' | 'ws' = 'tcp',
): Promise<{ client: TestClient; answer: Record<string, unknown> }> {
  const client = await TestClient.open(port, transport);
  say(client, user);
  return { client, answer: (await client.next('handshake')).body };
}
