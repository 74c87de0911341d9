/** One bus, one backend on NATS and one on gRPC, and two gateways of different versions, with a player on each. */
import { inspect, isDeepStrictEqual } from 'node:util';
import type { NatsConnection } from 'nats';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { jsonBytes } from '../support/grpc-shapes.ts';
import { startNats } from '../support/nats.ts';
import { serve as answer, tellJson } from '../support/nats-backend.ts';
import { serve, serveRelease, type Served } from '../support/serve.ts';
import type { Release } from './release.ts';

/** What N does not know; the others must not notice. */
const NEWER = `
sessions: { resume: { window: 60s, keys: ["${Buffer.alloc(32, 7).toString('base64')}"] } }
auth: { sessions_per_uid: kick_old }
bus_admin: true
`;

export type Side = { readonly name: string; readonly id: string; readonly gateway: Served };

export class Stage implements AsyncDisposable {
  readonly old: Side;
  readonly fresh: Side;
  readonly nc: NatsConnection;
  readonly backend: GrpcBackend;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    parts: { old: Side; fresh: Side; nc: NatsConnection; backend: GrpcBackend },
  ) {
    this.#stack = stack;
    this.old = parts.old;
    this.fresh = parts.fresh;
    this.nc = parts.nc;
    this.backend = parts.backend;
  }

  static async open(release: Release): Promise<Stage> {
    await using stack = new AsyncDisposableStack();
    const nats = stack.use(await startNats());
    const nc = await nats.connect();
    const backend = stack.use(await GrpcBackend.start({ handler: play }));
    // The login, on NATS: binds, sets and joins.
    await answer(nc, 'pith.rpc.login.>', (msg) => {
      const { uid } = msg.json<{ uid: string }>();
      const headers = { 'Pith-Bind': uid, 'Pith-Set': '{"room":"r1"}', 'Pith-Join': '["room.r1"]' };
      return { body: JSON.stringify({ code: 200, uid }), headers };
    });
    const yaml = `
bus: ${nats.url}
backends: { login: { nats: {} }, game: { grpc: "${backend.url}" } }
routes:
  - { match: "login.>", backend: login }
  - { match: "game.>", backend: game, forward: [room] }
`;
    const old = stack.use(await serveRelease(release.main, yaml));
    const fresh = stack.use(await serve(`${yaml}${NEWER}`));
    const parts = {
      old: sideOf(release.name, old),
      fresh: sideOf('this tree', fresh),
      nc,
      backend,
    };
    return new Stage(stack.move(), parts);
  }

  /** A player on a gateway, bound and in the room. */
  async player(side: Side, uid: string): Promise<TestClient> {
    const client = await TestClient.connect(side.gateway.port, 'ws');
    this.#stack.defer(() => {
      client.close();
    });
    expectEqual(await client.request('login.user.enter', { uid }), { code: 200, uid });
    return client;
  }

  /** Control of one gateway, over HTTP; the first object of its answer. */
  async control(side: Side, method: string, request: object): Promise<Record<string, unknown>> {
    const { status, lines } = await admin(side.gateway, method, request);
    if (status !== 200)
      throw new Error(`${method} on ${side.name}: ${status} ${JSON.stringify(lines)}`);
    return lines[0] ?? {};
  }

  /** The sid of the session that has this uid, wherever it is. */
  async sidOf(uid: string): Promise<string> {
    const { sessions } = await tellJson(this.nc, `pith.user.${uid}.get`);
    return (sessions as { sid: string }[])[0]!.sid;
  }

  /** The same, all objects of its answer. */
  async list(side: Side, method: string, request: object): Promise<Record<string, unknown>[]> {
    return (await admin(side.gateway, method, request)).lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function sideOf(name: string, gateway: Served): Side {
  const listening = gateway.log().find(({ msg }) => msg === 'listening')!;
  return { name, id: String(listening['gateway']), gateway };
}

/** The game, on gRPC: `push` sends what it is told to whom it is told, `whoami` says what it sees of the session. */
function play(asked: Asked): void {
  if (asked.route === 'game.room.push') {
    const { target, text } = asked.body as { target: object; text: string };
    asked.answer(
      { code: 200 },
      { pushes: [{ target, route: 'onSay', body: jsonBytes({ text }) }] },
    );
    return;
  }
  asked.answer({ code: 200, uid: asked.uid, data: asked.data });
}

export function expectEqual(got: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(got, expected))
    throw new Error(`got ${inspect(got)}, expected ${inspect(expected)}`);
}

/** The same, of the keys that are expected alone. */
export function expectHas(got: Record<string, unknown>, expected: Record<string, unknown>): void {
  const own = Object.fromEntries(Object.keys(expected).map((key) => [key, got[key]]));
  expectEqual(own, expected);
}
