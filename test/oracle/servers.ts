/** The servers that the script is played on: the two originals, each world a process of its own, and Pith. */
import { fileURLToPath } from 'node:url';

import type { JsonObject } from '../../src/contract/commands.ts';
import type { ConnectAsked } from '../support/connect-asked.ts';
import { startGateway } from '../support/gateway.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { jsonBytes, type Shape } from '../support/grpc-shapes.ts';
import { start } from '../support/process.ts';
import { type Body, METHODS, type Player } from './game.ts';
import { USER, WORLDS, type WorldName } from './worlds.ts';

export const ORIGINALS = ['pomelo', 'pinus'] as const;
export type OriginalName = (typeof ORIGINALS)[number];

export type Server = AsyncDisposable & {
  readonly port: number;
  /** The code of its close frames. */
  readonly plainEnd: number;
};

const LAUNCHER = fileURLToPath(new URL('original.ts', import.meta.url));
/** Pomelo's WebSocket library says 1000 where it is told no code; that of Pinus sends none, which is 1005. */
const PLAIN_ENDS = { pomelo: 1000, pinus: 1005 } as const;

/** Starts Pomelo or Pinus in a process of its own. */
export async function startOriginal(name: OriginalName, world: WorldName): Promise<Server> {
  const options = JSON.stringify(WORLDS[world].connector);
  const running = await start(process.execPath, ['--no-deprecation', LAUNCHER, name, options]);
  const [, port] = await running.waitFor(/^listening (\d+)$/m);
  return {
    port: Number(port),
    plainEnd: PLAIN_ENDS[name],
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** Starts Pith with the game behind it. */
export async function startPith(world: WorldName): Promise<Server> {
  await using stack = new AsyncDisposableStack();
  const backend = stack.use(await GrpcBackend.start({ handler: playGame, connect: letIn }));
  const gateway = stack.use(
    await startGateway(`
${WORLDS[world].pith}
backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: connector.entryHandler.*, backend: game }]
`),
  );
  const all = stack.move();
  return {
    port: gateway.port,
    plainEnd: 1000,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** What the handshake hook of original.ts does. */
function letIn(asked: ConnectAsked): void {
  if (asked.user['token'] === 'bad') asked.refuse({ code: 403 });
  else asked.accept(USER);
}

function playGame(asked: Asked): void {
  const method = METHODS[asked.route.split('.').at(-1)!];
  const player = playerOf(asked);
  if (method === undefined) player.fail();
  else method(bodyOf(asked), player);
}

/** What is no JSON is an empty object to Pomelo's handlers; here it is up to the backend. */
function bodyOf(asked: Asked): Body {
  try {
    return asked.body;
  } catch {
    return {};
  }
}

let verbs = 0;

function playerOf(asked: Asked): Player {
  const link = asked.link!;
  const target = { sids: [asked.sid] };
  const reply = (shape: Shape): void => {
    if (!asked.request.notify) asked.reply(shape);
  };
  const verb = async (what: Shape): Promise<void> => {
    const id = ++verbs;
    link.send({ id, verb: { target, ...what } });
    await link.backend.frame('done', id);
  };
  return {
    answer: (body) => {
      reply(body === null ? {} : { body: jsonBytes(body as JsonObject) });
    },
    fail: () => {
      reply({ error: { code: 500 } });
    },
    refuse: (body) => {
      reply({ error: { code: Number(body['code']), body: jsonBytes(body as JsonObject) } });
    },
    push: (route, body) => {
      link.send({ push: { target, route, body: jsonBytes(body as JsonObject) } });
    },
    kick: (reason) => {
      const close = reason === undefined ? { reason: '' } : { reason, kick: true };
      link.send({ verb: { target, close } });
    },
    bind: (uid) => verb({ patch: { uid } }),
  };
}
