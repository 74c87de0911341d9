/** The examples, and the backends that `pith init` writes, as instances that are replaced. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { buildExample } from '../../support/go.ts';
import { run, type Running, start } from '../../support/process.ts';
import { installPythonWith } from '../../support/python.ts';
import { ROOT } from '../../support/serve.ts';
import type { Kind } from './fleet.ts';

const EXAMPLES = join(ROOT, 'deploy/examples');

export type Program = {
  readonly name: string;
  readonly kind: Kind;
  /** What players ask: the program answers it, if only by saying that it is wrong. */
  readonly route: string;
  readonly body: string;
  /** Of the configuration, where the kind's own is not right. */
  readonly backend?: (grpc: string) => string;
  readonly routeKeys?: string;
  /** Starts it there, once `prepare` has been awaited, and resolves when it serves. */
  start(where: string): Promise<Running>;
  /** false: this machine cannot run it. */
  prepare?(): Promise<boolean>;
};

const CHAT = { route: 'chat.room.whisper', body: '{}' } as const;
const HELLO = { route: 'hello.world.greet', body: '{}' } as const;
const ROOMS = {
  route: 'lobby.rooms.join',
  body: '{}',
  routeKeys: ', method: "/lobby.v1.Rooms/Join"',
};
const rooms = (grpc: string): string =>
  `{ ${grpc}, mode: method, services: [lobby.v1.Rooms], protos: ["${EXAMPLES}/rooms-grpc-go/proto"] }`;

export const PROGRAMS: readonly Program[] = [
  {
    ...{ name: 'chat-ts-grpc', kind: 'link', ...CHAT },
    start: (ADDR) => started(process.execPath, [join(EXAMPLES, 'chat-ts-grpc/main.ts')], { ADDR }),
  },
  goExample('chat-grpc-go', 'link', (ADDR) => ({ ADDR }), CHAT),
  { ...goExample('chat-grpc-go', 'handle', (ADDR) => ({ ADDR, LINK: 'off' }), CHAT), name: 'chat-grpc-go, LINK=off' }, // prettier-ignore
  { ...goExample('rooms-grpc-go', 'method', (ADDR) => ({ ADDR }), ROOMS), backend: rooms },
  goExample('chat-nats-go', 'nats', (NATS_URL) => ({ NATS_URL }), CHAT),
  goExample('chat-http-go', 'http', (port) => ({ ADDR: `127.0.0.1:${port}` }), CHAT),
  goExample('chat-ipc-go', 'ipc', (SOCKET) => ({ SOCKET }), CHAT),
  goExample('chat-dial-in-go', 'dial_in', (GATEWAY) => ({ GATEWAY, BACKEND: 'dial_in' }), CHAT),
  pythonExample('chat-python-nats', 'nats', (NATS_URL) => ({ NATS_URL }), CHAT),
  { ...pythonExample('rooms-grpc-python', 'method', (ADDR) => ({ ADDR }), ROOMS), backend: rooms },
  ...(['go-grpc', 'go-nats', 'python', 'typescript'] as const).map(template),
];

function started(command: string, args: readonly string[], env: Record<string, string>) {
  return start(command, args, { env, ready: /ready|listening|attached|"hello"/ });
}

type Asks = { readonly route: string; readonly body: string; readonly routeKeys?: string };

function goExample(
  name: string,
  kind: Kind,
  env: (where: string) => Record<string, string>,
  asks: Asks,
): Program {
  return {
    ...{ name, kind, ...asks },
    start: async (where) => {
      const program = await buildExample(name);
      // It says nothing when it is attached.
      if (kind === 'dial_in') return start(program, [], { env: env(where) });
      return started(program, [], env(where));
    },
  };
}

function pythonExample(
  name: string,
  kind: Kind,
  env: (where: string) => Record<string, string>,
  asks: Asks,
): Program {
  let python: string | null = null;
  return {
    ...{ name, kind, ...asks },
    prepare: async () => {
      python = await installPythonWith(join(EXAMPLES, name, 'requirements.txt'));
      return python !== null;
    },
    start: (where) => started(python!, [join(EXAMPLES, name, 'main.py')], env(where)),
  };
}

/** What `pith init` writes for this backend. */
function template(backend: 'go-grpc' | 'go-nats' | 'python' | 'typescript'): Program {
  const isNats = backend === 'go-nats';
  let folder = '';
  let program: readonly string[] = [];
  return {
    ...{ name: `init ${backend}`, kind: isNats ? 'nats' : 'handle', ...HELLO },
    prepare: async () => {
      folder = mkdtempSync(join(tmpdir(), 'pith-made-'));
      process.once('exit', () => {
        rmSync(folder, { recursive: true, force: true });
      });
      const made = join(folder, 'game');
      await expectToRun(['src/main.ts', 'init', made, '--backend', backend], ROOT);
      program = await compiled(backend, made, folder);
      return program.length > 0;
    },
    start: (where) =>
      started(program[0]!, program.slice(1), isNats ? { NATS_URL: where } : { ADDR: where }),
  };
}

/** How the written backend is started; empty: this machine cannot. */
async function compiled(backend: string, made: string, folder: string): Promise<readonly string[]> {
  if (backend === 'typescript') {
    // Instead of npm install.
    symlinkSync(join(ROOT, 'node_modules'), join(made, 'node_modules'));
    return [process.execPath, join(made, 'main.ts')];
  }
  if (backend === 'python') {
    const python = await installPythonWith(join(made, 'requirements.txt'));
    return python === null ? [] : [python, join(made, 'main.py')];
  }
  const program = join(folder, 'program');
  const { code, output } = await run('go', ['build', '-o', program, '.'], { cwd: made });
  if (code !== 0) throw new Error(output);
  return [program];
}

async function expectToRun(args: readonly string[], cwd: string): Promise<void> {
  const { code, output } = await run(process.execPath, args, { cwd });
  if (code !== 0) throw new Error(output);
}
