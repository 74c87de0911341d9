/** A gateway with one backend on HTTP, and a client. */
import type { Session } from '../../src/session/session.ts';
import { TestClient } from './client.ts';
import { type LogLine, startGateway, type TestGateway } from './gateway.ts';
import { type Answering, type HttpAnswer, HttpBackend } from './http-backend.ts';
import { eventually } from './wait.ts';

const ROUTES = `
routes:
  - { match: "status.user.get", backend: web, path: "/status" }
  - { match: "shop.>", backend: web, path: "/v1/{server}/{method}?in={handler}" }
  - { match: "raw.>", backend: web, codec: raw }
  - { match: "hasty.>", backend: web, timeout: 300ms }
  - { match: "free.>", backend: web, order: none, timeout: 60s }
  - { match: "again.>", backend: web, idempotent: true, timeout: 60s }
  - { match: ">", backend: web, forward: [room, level], timeout: 60s }
limits: { messages_per_second: 100000, burst: 100000 }
`;

/** @param more Keys of the backend beside `http`, as YAML of one line. */
export function startHttpGateway(url: string, more = ''): Promise<TestGateway> {
  return startGateway(`backends: { web: { http: "${url}", ${more} } }\n${ROUTES}`);
}

export type HttpStage = AsyncDisposable & {
  readonly backend: HttpBackend;
  readonly gateway: TestGateway;
  readonly client: TestClient;
  /** The oldest. */
  session(): Session;
  /** The client's answer when the backend answers so. */
  ask(answer: HttpAnswer, route?: string): Promise<Record<string, unknown>>;
  /** The first log line that says why in these words. */
  logged(words: string): Promise<LogLine>;
};

/** The log line whose `why` has these words, once it is there. */
export function whyLogged(gateway: TestGateway, words: string): Promise<LogLine> {
  return eventually(
    () => gateway.log.find(({ why }) => typeof why === 'string' && why.includes(words)),
    `a log line with "${words}"`,
  );
}

export async function httpStage(
  answering: Answering = () => ({ body: '{"ok":1}' }),
  more = '',
): Promise<HttpStage> {
  const backend = await HttpBackend.start(answering);
  const gateway = await startHttpGateway(backend.url, more);
  const client = await TestClient.connect(gateway.port);
  return {
    backend,
    gateway,
    client,
    session: () => [...gateway.gateway.registry.all()][0]!,
    ask(answer, route = 'world.map.look') {
      backend.answering = () => answer;
      return client.request(route);
    },
    logged: (words) => whyLogged(gateway, words),
    async [Symbol.asyncDispose]() {
      client.close();
      await gateway[Symbol.asyncDispose]();
      await backend.stop();
    },
  };
}
