/** Clients that ask for resume tokens, and gateways that give them. */
import { PacketType } from '../../src/protocol/packet.ts';
import { TestClient } from './client.ts';

/** Keys of resume tokens, in base64. */
export const KEYS = [7, 8, 9].map((byte) => Buffer.alloc(32, byte).toString('base64'));

/** The part of a configuration; with other keys than the first of `KEYS` where they are given. */
export function resumes(window = '60s', keys: readonly string[] = KEYS.slice(0, 1)): string {
  return `sessions: { resume: { window: ${window}, keys: ${JSON.stringify(keys)} } }`;
}

export type Pith = { readonly resume: string; readonly resumed?: boolean };

export type Come = {
  readonly client: TestClient;
  readonly answer: Record<string, unknown>;
  /** What the answer says in `user.pith`. */
  readonly pith: Pith;
};

/** A client that comes with a token, or asks for one; acknowledged. */
export async function come(port: number, resume: unknown = '', user: object = {}): Promise<Come> {
  const client = await TestClient.open(port);
  const sys = { type: 'test', version: '1.2' };
  const body = JSON.stringify({ sys, user: { ...user, pith: { resume } } });
  client.packet(PacketType.HANDSHAKE, Buffer.from(body));
  const { body: answer } = await client.next('handshake');
  client.ack();
  return { client, answer, pith: (answer['user'] as { pith?: Pith } | undefined)?.pith as Pith };
}

/** The token of the `n`th push that brought one, the first is 0. */
export async function nextToken(client: TestClient, n = 0): Promise<string> {
  const { token } = await client.push('pith.resume', n);
  return token as string;
}
