/** Published Pomelo clients, unmodified, each in a process of its own: some keep state of their module. */
import { type ChildProcess, fork } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { PATIENCE_MS } from './wait.ts';

const CHILD = fileURLToPath(new URL('../conformance/npm-client.cjs', import.meta.url));
const CLIENTS = fileURLToPath(new URL('../clients/package.json', import.meta.url));
const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));

/** Something that happened in the client, with the arguments that it gave. */
export type ClientEvent = { readonly event: string; readonly args: readonly unknown[] };

export type InitOptions = {
  readonly host?: string;
  readonly user?: object;
  readonly reconnect?: boolean;
  readonly reconnectionDelay?: number;
};

/** True if the program is on the PATH. */
export function hasProgram(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A package of test/clients, in this process; for those without state. */
export function loadNpm<T>(name: string): T {
  return createRequire(CLIENTS)(name) as T;
}

export class NpmClient implements AsyncDisposable {
  /** Everything that happened, in order. */
  readonly events: ClientEvent[] = [];
  /** Resolves with what it had printed once the process has ended. */
  readonly died: Promise<string>;
  readonly #child: ChildProcess;
  readonly #byName = new Map<string, ClientEvent[]>();
  readonly #watchers = new Set<() => void>();
  #output = '';
  #ended = false;
  #keys = 0;

  private constructor(name: string) {
    this.#child = fork(CHILD, [name], { silent: true, execArgv: ['--no-deprecation'] });
    const print = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    this.#child.stdout!.on('data', print);
    this.#child.stderr!.on('data', print);
    this.#child.on('message', (message) => {
      const event = message as ClientEvent;
      this.events.push(event);
      const before = this.#byName.get(event.event);
      if (before === undefined) this.#byName.set(event.event, [event]);
      else before.push(event);
      this.#look();
    });
    this.died = new Promise((resolve) => {
      this.#child.on('close', () => {
        this.#ended = true;
        resolve(this.#output);
        this.#look();
      });
    });
  }

  /** Starts the client without connecting it. */
  static async start(name: string): Promise<NpmClient> {
    const client = new NpmClient(name);
    await client.event('loaded');
    return client;
  }

  /** Starts the client and connects it; `frames`: every frame that comes is an event too. */
  static async connect(name: string, port: number, frames = false): Promise<NpmClient> {
    const client = await NpmClient.start(name);
    await client.init(port, {}, frames);
    return client;
  }

  /** Connects and shakes hands; resolves with the heartbeat interval that the client goes by. */
  async init(port: number, options: InitOptions = {}, frames = false): Promise<number> {
    const before = this.#count('ready');
    this.#do('init', { params: { ...options, port }, frames });
    return (await this.event('ready', before))[0] as number;
  }

  /** Asks; what the callback was called with. */
  async callback(route: string, body: object): Promise<readonly unknown[]> {
    const key = ++this.#keys;
    this.#do('request', { key, route, body });
    const answer = await this.#wait(
      () => this.#all('answer').find(({ args }) => args[0] === key),
      `the answer of ${route}`,
    );
    return answer.args.slice(1);
  }

  /** Asks; the body of the answer. */
  async request(route: string, body: object = {}): Promise<unknown> {
    return (await this.callback(route, body)).at(-1);
  }

  /** Sends `count` requests at once, `{n}` in route and body replaced; the bodies of the answers by n. */
  async requests(count: number, route: string, body: object): Promise<Map<number, unknown>> {
    this.#do('requests', { count, route, body });
    const [answers] = await this.event('answers', this.#count('answers'));
    return new Map(answers as [number, unknown][]);
  }

  notify(route: string, body: object): void {
    this.#do('notify', { route, body });
  }

  disconnect(): void {
    this.#do('disconnect', {});
  }

  /** The arguments of the `n`th event of that name; the first is 0. */
  async event(name: string, n = 0): Promise<readonly unknown[]> {
    const found = await this.#wait(() => this.#all(name)[n], `event ${n} of ${name}`);
    return found.args;
  }

  /** The bytes of every frame that came, in hex. */
  frames(): string[] {
    return this.#all('frame').map(({ args }) => args[0] as string);
  }

  /** Resolves once `count` frames came that begin with `hex`. */
  async framesOf(hex: string, count = 1): Promise<string[]> {
    return this.#wait(() => {
      const found = this.frames().filter((frame) => frame.startsWith(hex));
      return found.length >= count ? found : undefined;
    }, `${count} frames that begin with ${hex}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.#child.kill('SIGKILL');
    await this.died;
  }

  #do(act: string, rest: object): void {
    this.#child.send({ act, ...rest });
  }

  #all(name: string): readonly ClientEvent[] {
    return this.#byName.get(name) ?? [];
  }

  #count(name: string): number {
    return this.#all(name).length;
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }

  #wait<T>(find: () => T | undefined, what: string, ms = PATIENCE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      const fail = (why: string): void => {
        finish();
        const last = this.events.slice(-5).map((event) => JSON.stringify(event));
        reject(new Error(`${what}: ${why}\n${last.join('\n')}\n${this.#output.slice(-2_000)}`));
      };
      const timer = setTimeout(() => {
        fail(`did not come in ${ms} ms`);
      }, ms);
      const look = (): void => {
        const found = find();
        if (found !== undefined) {
          finish();
          resolve(found);
        } else if (this.#ended) {
          fail('the process of the client has ended');
        }
      };
      this.#watchers.add(look);
      look();
    });
  }
}

type Method = (
  request: object,
  callback: (error: Error | null, answer: Record<string, unknown>) => void,
) => void;

/** Calls a unary method of pith.v1.Control on the control port. */
export async function control(
  port: number,
  method: string,
  request: object,
): Promise<Record<string, unknown>> {
  const definition = loadSync('pith/v1/control.proto', {
    includeDirs: [PROTO_DIR],
    keepCase: true,
  });
  const root = loadPackageDefinition(definition) as unknown as {
    pith: { v1: { Control: ServiceClientConstructor } };
  };
  const client = new root.pith.v1.Control(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      const call = (client as unknown as Record<string, Method>)[method]!.bind(client);
      call(request, (error, answer) => {
        if (error) reject(error);
        else resolve(answer);
      });
    });
  } finally {
    client.close();
  }
}
