/**
 * A backend behind a sidecar that chooses it by a header, as Dapr does by `dapr-app-id`: every call that the gateway
 * makes on its own account has it, too. The sidecar here passes calls on as they are, and knows none without it.
 */
import { once } from 'node:events';
import http2, { type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';

import { startGateway } from '../support/gateway.ts';
import { TestClient } from '../support/client.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { echo, ECHO_PROTO } from '../support/method-pair.ts';
import { eventually } from '../support/wait.ts';

const NAME = 'dapr-app-id';
const METADATA = `metadata: { ${NAME}: game }`;

class Sidecar implements AsyncDisposable {
  /** Paths of the calls that were passed on. */
  readonly routed: string[] = [];
  /** Those of calls without the header. */
  readonly unrouted: string[] = [];
  readonly #backendPort: number;
  readonly #server = http2.createServer();
  readonly #sessions = new Set<http2.Http2Session>();

  private constructor(backendPort: number) {
    this.#backendPort = backendPort;
    this.#server.on('session', (session) => this.#keep(session));
    this.#server.on('stream', (near, headers) => {
      const path = headers[':path'] ?? '';
      if (headers[NAME] !== 'game') {
        this.unrouted.push(path);
        near.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
          { endStream: true },
        );
        return;
      }
      this.routed.push(path);
      this.#pass(near, headers);
    });
  }

  static async start(backendPort: number): Promise<Sidecar> {
    const sidecar = new Sidecar(backendPort);
    sidecar.#server.listen(0, '127.0.0.1');
    await once(sidecar.#server, 'listening');
    return sidecar;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #pass(near: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
    const session = http2.connect(`http://127.0.0.1:${this.#backendPort}`);
    this.#keep(session);
    const far = session.request(headers);
    far.on('response', (answered, flags) => {
      const isAll = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      near.respond(answered, isAll ? { endStream: true } : { waitForTrailers: true });
    });
    let trailers: http2.IncomingHttpHeaders = {};
    far.on('trailers', (received) => {
      trailers = received;
    });
    near.on('wantTrailers', () => near.sendTrailers(trailers));
    for (const stream of [near, far]) stream.on('error', () => {});
    near.on('close', () => {
      far.close();
      session.close();
    });
    near.pipe(far);
    far.pipe(near);
  }

  #keep(session: http2.Http2Session): void {
    this.#sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => this.#sessions.delete(session));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

test.each([
  { mode: 'link', path: '/pith.v1.Backend/Link' },
  { mode: 'handle', path: '/pith.v1.Backend/Handle' },
])('gRPC, mode: $mode', async ({ mode, path }) => {
  await using backend = await GrpcBackend.start();
  await using sidecar = await Sidecar.start(backend.port);
  await using gateway = await startGateway(`
backends: { game: { grpc: "127.0.0.1:${sidecar.port}", mode: ${mode}, ${METADATA} } }
routes: [{ match: "game.>", backend: game }]
`);
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('game.any')).toMatchObject({ instance: 'test-1' });
  expect(sidecar.routed).toContain(path);
  expect(sidecar.unrouted).toEqual([]);
});

test('gRPC, mode: method, with reflection', async () => {
  await using backend = await MethodBackend.start({
    proto: ECHO_PROTO,
    service: 't.Echo',
    handler: echo,
    reflection: 'v1',
  });
  await using sidecar = await Sidecar.start(Number(backend.address.split(':').pop()));
  await using gateway = await startGateway(`
backends:
  echo: { grpc: "127.0.0.1:${sidecar.port}", mode: method, services: [t.Echo], reflection: true, ${METADATA} }
routes: [{ match: "t.>", backend: echo, method: "/t.Echo/{method}" }]
`);
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('t.Say', { text: 'hi' })).toMatchObject({ text: 'hi' });
  expect(sidecar.routed).toContain('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo');
  expect(sidecar.routed).toContain('/t.Echo/Say');
  expect(sidecar.unrouted).toEqual([]);
});

test('HTTP, with the handshake and the end of a session', async () => {
  await using backend = await HttpBackend.start(({ path }) => ({
    body: path === '/pith/connect' ? '{"accept":{}}' : '{"code":200}',
  }));
  await using gateway = await startGateway(`
backends: { game: { http: "${backend.url}", headers: { dapr-app-id: game } } }
routes: [{ match: "game.>", backend: game }]
auth: { mode: connect, backend: game }
`);
  const client = await TestClient.connect(gateway.port);
  expect(await client.request('game.any')).toEqual({ code: 200 });
  await client[Symbol.asyncDispose]();
  await eventually(() => backend.asked.length >= 3, 'the end to be told');
  expect(backend.asked.map(({ path }) => path)).toEqual([
    '/pith/connect',
    expect.stringContaining('any'),
    '/pith/closed',
  ]);
  expect(backend.asked.map(({ headers }) => headers[NAME])).toEqual(['game', 'game', 'game']);
});
