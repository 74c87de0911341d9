/** Kept pushes on real gateways: a backend that lets players in, clients that come back, and what they got. */
import type { NatsConnection } from 'nats';
import { expect } from 'vitest';

import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { say } from './handshake.ts';
import { headersOf, serve } from './nats-backend.ts';
import { eventually } from './wait.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

/** @param bus URLs, with commas between. */
export function startKeeping(bus: string): Promise<TestGateway> {
  return startGateway(
    `bus: ${bus}
sessions: { resume: { window: 60s, keys: ["${KEY}"], replay: true } }
backends: { game: { nats: {} } }
routes: [{ match: "game.>", backend: game }]`,
  );
}

export async function readiness({ healthPort }: TestGateway): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
  return `${answer.status} ${(await answer.text()).trim()}`;
}

export async function isReady(gateway: TestGateway): Promise<void> {
  await eventually(async () => (await readiness(gateway)).startsWith('200'), 'a ready gateway');
}

/** `game.door.enter` binds the uid that it is given. */
export async function serveLogins(nc: NatsConnection): Promise<void> {
  await serve(nc, 'pith.rpc.game.>', (msg) => ({
    headers: { 'Pith-Bind': msg.json<{ uid: string }>().uid },
    body: '{"code":200}',
  }));
}

/** Publishes until the stream has stored it; it knows what comes again. */
export async function keep(nc: NatsConnection, n: number, uid = 'ann'): Promise<void> {
  const headers = headersOf({ 'Pith-Route': 'onMail', 'Nats-Msg-Id': `${uid}.${n}` });
  await eventually(async () => {
    try {
      const options = { headers, timeout: 1_000 };
      const ack = await nc.request(`pith.keep.user.${uid}`, `{"n":${n}}`, options);
      return ack.json<{ seq?: number }>().seq !== undefined;
    } catch {
      // JetStream is away.
      return false;
    }
  }, 'the stream to keep a push');
}

/** A client that asks for tokens and numbers, or comes back with them. */
export async function come({ port }: TestGateway, pith: object = { resume: '', cursor: '' }) {
  const client = await TestClient.open(port);
  say(client, { pith });
  const { body } = await client.next('handshake');
  client.ack();
  const { resume } = (body['user'] as { pith: { resume: string } }).pith;
  /** The newest token. */
  const token = (): string => {
    const last = client.pushes('pith.resume').at(-1);
    return last === undefined ? resume : (last.body['token'] as string);
  };
  return { client, token };
}

export async function login(client: TestClient, uid = 'ann'): Promise<void> {
  expect(await client.request('game.door.enter', { uid })).toEqual({ code: 200 });
  await client.push('pith.resume');
}

/** What came, without tokens: `1` is a push, `#7` the number that follows it. */
export function story(client: TestClient): string[] {
  return client
    .pushes()
    .filter(({ route }) => route !== 'pith.resume')
    .map(({ route, body }) =>
      route === 'onMail'
        ? String(body['n'])
        : route === 'pith.cursor'
          ? `#${String(body['seq'])}`
          : route,
    );
}
