/** The chat example behind a gateway, on each of the three ways to reach it. */
import type { TestContext } from 'vitest';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startGrpcChat, startNatsChat } from '../support/go.ts';
import { startNats } from '../support/nats.ts';
import { hasProgram } from '../support/npm-clients.ts';
import type { Running } from '../support/process.ts';

const ROUTES = 'routes: [{ match: "chat.>", backend: chat, forward: [room] }]';

/** A gateway with the chat behind it; `chat` is the backend's process. */
export type Chat = AsyncDisposable & { readonly gateway: TestGateway; readonly chat: Running };

export type ChatBackend = {
  readonly name: string;
  /** Programs without which its tests are left out. */
  readonly needs: readonly string[];
  readonly start: (yaml?: string) => Promise<Chat>;
};

export const CHAT_BACKENDS: readonly ChatBackend[] = [
  { name: 'gRPC Link', needs: ['go'], start: (yaml) => startGrpc({}, yaml) },
  { name: 'gRPC Handle', needs: ['go'], start: (yaml) => startGrpc({ LINK: 'off' }, yaml) },
  { name: 'plain NATS', needs: ['go', 'nats-server'], start: startOnNats },
];

/** Leaves the test out, by name, where a program that it needs is not installed. */
export function skipWithout(ctx: TestContext, programs: readonly string[]): void {
  const why = skipReason(programs);
  ctx.skip(why !== undefined, why);
}

/** Why tests that need these programs are left out here; undefined: they are not. */
export function skipReason(programs: readonly string[]): string | undefined {
  const missing = programs.filter((program) => !hasProgram(program));
  return missing.length > 0 ? `needs ${missing.join(' and ')}` : undefined;
}

async function startGrpc(env: Record<string, string>, yaml = ''): Promise<Chat> {
  await using stack = new AsyncDisposableStack();
  const chat = stack.use(await startGrpcChat(env));
  const backends = `backends: { chat: { grpc: "${chat.address}" } }`;
  const gateway = stack.use(await startGateway([backends, ROUTES, yaml].join('\n')));
  return handOver(stack, gateway, chat);
}

async function startOnNats(yaml = ''): Promise<Chat> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const chat = stack.use(await startNatsChat(nats.url));
  const backends = `bus: ${nats.url}\nbackends: { chat: { nats: {} } }`;
  const gateway = stack.use(await startGateway([backends, ROUTES, yaml].join('\n')));
  return handOver(stack, gateway, chat);
}

function handOver(stack: AsyncDisposableStack, gateway: TestGateway, chat: Running): Chat {
  const all = stack.move();
  return { gateway, chat, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
