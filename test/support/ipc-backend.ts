/** A backend on a Unix socket, in this process: JSON lines, nothing of ours. And a gateway in front of it. */
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Session } from '../../src/session/session.ts';
import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { eventually } from './wait.ts';

/** A line from the gateway. */
export type IpcAsked = {
  readonly cmd: string;
  readonly payload: unknown;
  /** Absent: no answer is due. */
  readonly seq_id?: number;
  readonly timeout_ms?: number;
  readonly session: { readonly sid: string; readonly uid: string; readonly data: unknown };
};

/** What is written for a line: an object, a line as it is, or nothing. */
type Answering = (asked: IpcAsked, backend: IpcBackend) => object | string | null;

/** A path for a socket, in a folder of its own. */
export function socketPath(): { readonly path: string } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), 'pith-ipc-'));
  return {
    path: join(dir, 'game.sock'),
    [Symbol.dispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export class IpcBackend implements AsyncDisposable {
  readonly path: string;
  /** Every line as it came, on whichever connection. */
  readonly lines: string[] = [];
  readonly asked: IpcAsked[] = [];
  readonly sockets = new Set<net.Socket>();
  connections = 0;
  answering: Answering;
  readonly #server: net.Server;

  private constructor(path: string, answering: Answering) {
    this.path = path;
    this.answering = answering;
    this.#server = net.createServer((socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {});
      let rest = '';
      socket.setEncoding('utf8');
      socket.on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop()!;
        for (const line of lines) this.#onLine(line);
      });
    });
  }

  static async start(
    path: string,
    answering: Answering = ({ payload }) => ({ payload }),
  ): Promise<IpcBackend> {
    const backend = new IpcBackend(path, answering);
    backend.#server.listen(path);
    await once(backend.#server, 'listening');
    return backend;
  }

  /** Takes a path over that another has: bound beside it and renamed, so that there is no moment without a socket. */
  static async takeOver(
    path: string,
    answering: Answering = ({ payload }) => ({ payload }),
  ): Promise<IpcBackend> {
    const backend = await IpcBackend.start(`${path}.next`, answering);
    renameSync(backend.path, path);
    return backend;
  }

  /** Writes text as it is to the connection that came last. */
  write(text: string | Buffer): void {
    [...this.sockets].at(-1)!.write(text);
  }

  /** Writes one line. */
  say(line: object): void {
    this.write(`${JSON.stringify(line)}\n`);
  }

  /** The `n`th line with a cmd (the first is 0), once it is there. */
  nth(n: number, cmd?: string): Promise<IpcAsked> {
    const ofCmd = () => this.asked.filter((one) => cmd === undefined || one.cmd === cmd)[n];
    return eventually(ofCmd, `line ${n} of ${cmd ?? 'any cmd'}`);
  }

  /** Ends every connection, without a word. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #onLine(line: string): void {
    this.lines.push(line);
    const asked = JSON.parse(line) as IpcAsked;
    this.asked.push(asked);
    const answer = this.answering(asked, this);
    if (answer === null) return;
    if (typeof answer === 'string') this.write(answer);
    else if (asked.seq_id !== undefined) this.say({ seq_id: asked.seq_id, ...answer });
  }
}

const ROUTES = `
routes:
  - { match: "hasty.>", backend: game, timeout: 300ms }
  - { match: ">", backend: game, forward: [room, level], timeout: 60s }
limits: { messages_per_second: 100000, burst: 100000, packet: 1MiB }
`;

export function startIpcGateway(path: string): Promise<TestGateway> {
  return startGateway(`backends: { game: { ipc: "unix://${path}" } }\n${ROUTES}`);
}

export type IpcStage = AsyncDisposable & {
  readonly path: string;
  readonly backend: IpcBackend;
  readonly gateway: TestGateway;
  readonly client: TestClient;
  /** The oldest. */
  session(): Session;
  /** The client's answer when the backend answers so. */
  ask(answer: object | string | null, route?: string): Promise<Record<string, unknown>>;
  /** How often a log line about the backend has had these words as its why; those about a message repeat them. */
  logged(words: string): number;
};

export async function ipcStage(answering?: Answering): Promise<IpcStage> {
  const folder = socketPath();
  const backend = await IpcBackend.start(folder.path, answering);
  const gateway = await startIpcGateway(folder.path);
  const client = await TestClient.connect(gateway.port);
  return {
    path: folder.path,
    backend,
    gateway,
    client,
    session: () => [...gateway.gateway.registry.all()][0]!,
    ask(answer, route = 'world.map.look') {
      backend.answering = () => answer;
      return client.request(route);
    },
    logged: (words) =>
      gateway.log.filter(
        ({ why, ref }) => ref === undefined && typeof why === 'string' && why.includes(words),
      ).length,
    async [Symbol.asyncDispose]() {
      client.close();
      await gateway[Symbol.asyncDispose]();
      await backend.stop();
      folder[Symbol.dispose]();
    },
  };
}
