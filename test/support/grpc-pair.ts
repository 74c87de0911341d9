/** A gRPC backend and a gateway, for tests that need one of each. */
import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { type BackendOptions, GrpcBackend } from './grpc-backend.ts';
import { eventually } from './wait.ts';

/** One backend, and a gateway before it. */
export class Pair implements AsyncDisposable {
  readonly backend: GrpcBackend;
  readonly gateway: TestGateway;

  private constructor(backend: GrpcBackend, gateway: TestGateway) {
    this.backend = backend;
    this.gateway = gateway;
  }

  static async start(
    options: BackendOptions & { more?: string; url?: string; timeout?: string } = {},
  ): Promise<Pair> {
    const backend = await GrpcBackend.start(options);
    const { more = '', timeout = '15s', url = backend.url } = options;
    const gateway = await startGateway(`
backends: { game: { grpc: "${url.replace('PORT', String(backend.port))}"${more} } }
routes:
  - { match: game.room, backend: game, forward: [room], timeout: ${timeout} }
  - { match: game.all, backend: game, forward: ["*"], timeout: ${timeout} }
  - { match: "game.>", backend: game, timeout: ${timeout} }
`);
    return new Pair(backend, gateway);
  }

  join(transport: 'tcp' | 'ws' = 'tcp'): Promise<TestClient> {
    return TestClient.connect(this.gateway.port, transport);
  }

  /** Why the address came into this state, as logged. */
  logged(state: string): Promise<string> {
    return eventually(
      () => this.gateway.log.findLast((one) => one['state'] === state)?.['why'] as string,
      `the backend to be ${state}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
  }
}
