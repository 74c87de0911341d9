/**
 * `pith dev`, and `make run`: a gateway with the embedded bus and a chat behind it, started and stopped together.
 * Ports and everything else are in deploy/demo/pith.yaml; PITH_… variables override it, as for `pith serve`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { inBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import { EXIT } from './exit-codes.ts';
import { ownCommand } from './own-command.ts';
import type { ReadyFacts } from './supervision.ts';

const CONFIG = fileURLToPath(new URL('../../deploy/demo/pith.yaml', import.meta.url));
/** The package has it compiled: Node strips no types of what is installed. */
const CHAT = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts')
      ? '../../deploy/examples/chat-ts-grpc/main.ts'
      : '../../dist/demo/chat/main.js',
    import.meta.url,
  ),
);
/** Longer than `drain.budget`, so that only what hangs is killed. */
const STOP_MS = 30_000;

/** Puts the gateway on ports that are free. */
const OTHER_PORTS =
  'PITH_LISTEN__0__URL=auto://127.0.0.1:3011 PITH_CONTROL__LISTEN=127.0.0.1:0 ' +
  'PITH_ADMIN__LISTEN=127.0.0.1:0 PITH_HEALTH__LISTEN=127.0.0.1:0';

export type DemoIo = {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** The program Node, and the file that it runs for `pith`. */
  readonly node: string;
  readonly main: string;
};

export class Demo {
  readonly #io: DemoIo;
  readonly #children: ChildProcess[] = [];
  readonly #ended = Promise.withResolvers<number>();
  #isStopping = false;
  #complaints = '';

  constructor(io: DemoIo) {
    this.#io = io;
  }

  /** Runs both until `stop`, or until one of them ends by itself. @returns The exit code. */
  async run(): Promise<number> {
    inBackground(this.#start(), (error) => {
      this.#io.stderr.write(`${String(error)}\n`);
      this.stop(EXIT.NO);
    });
    return this.#ended.promise;
  }

  /** The gateway is started once the chat listens. Stays pending if one of them ends before that. */
  async #start(): Promise<void> {
    const { main } = this.#io;
    const chat = this.#launch([CHAT], { ADDR: '127.0.0.1:0' }, ['ignore', 'pipe', 'inherit']);
    const [, address] = await this.#lineWith(chat, /listening on (\S+)/);
    if (this.#isStopping) return;
    const serve = [main, 'serve', CONFIG, ...this.#settings(address!)];
    const gateway = this.#launch([...serve, '--exit-with-parent', '--ready-fd', '3'], {}, [
      'pipe',
      'pipe',
      'pipe',
      'pipe',
    ]);
    gateway.stderr!.on('data', (chunk: Buffer) => {
      this.#complaints += chunk.toString();
      this.#io.stderr.write(chunk);
    });
    gateway.stdout!.pipe(this.#io.stdout, { end: false });
    const told = await text(gateway.stdio[3] as Readable);
    // It listens nowhere, and ends.
    if (told === '') return;
    this.#io.stdout.write(this.#welcome(JSON.parse(told) as ReadyFacts));
  }

  /** Settings besides the file: where the chat is, and a log for people to read. */
  #settings(chatAddress: string): string[] {
    const set = [`backends.chat.grpc=${chatAddress}`, 'log.format=pretty'];
    // The gate has to answer with the port that clients really connect to.
    const port = /:(\d+)$/.exec(this.#io.env['PITH_LISTEN__0__URL'] ?? '')?.[1];
    if (port !== undefined && port !== '0') set.push(`backends.gate.reply.port=${port}`);
    return set.flatMap((one) => ['--set', one]);
  }

  #welcome({ clients, controlPort, healthPort, pages }: ReadyFacts): string {
    const at = clients[0]!.replace(/^\w+:\/\//, '').replace(/^0\.0\.0\.0|^\[::\]/, '127.0.0.1');
    const client = `${ownCommand(this.#io.env)} client ws://${at}`;
    return `
Pith is running, with a chat behind it. Ctrl-C stops both.

  clients    ws://${at}  tcp://${at}
  control    127.0.0.1:${controlPort}, gRPC with reflection
  metrics    http://127.0.0.1:${healthPort}/metrics
${pages.map((url) => `  ${url.replace(/.*\//, '').padEnd(10)} ${url}\n`).join('')}
Open the playground in a browser: "Two players" starts a chat. Or in another terminal, send one request, or type as many as you like (try "help"):

  ${client} --request chat.room.join --data '{"name":"ann","room":"lobby"}'
  ${client}

`;
  }

  /** Starts a program of ours with this Node; if it ends on its own, everything ends. */
  #launch(
    args: readonly string[],
    env: Record<string, string>,
    stdio: ('pipe' | 'ignore' | 'inherit')[],
  ): ChildProcess {
    const child = spawn(this.#io.node, [...args], {
      env: { ...this.#io.env, ...env },
      // A process group of its own: Ctrl-C reaches only us, and we stop them in order.
      detached: true,
      stdio,
    });
    this.#children.push(child);
    // Not `exit`: by then its last lines may be unread.
    child.on('close', (code, signal) => {
      if (this.#isStopping) return;
      this.#io.stderr.write(`\n${this.#advice() ?? `${args[0]} ended (${code ?? signal})`}\n`);
      this.stop(EXIT.NO);
    });
    return child;
  }

  /** Passes the output on, and waits for a line; never resolves if the program ends before. */
  #lineWith(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        this.#io.stdout.write(`${line}\n`);
        const match = pattern.exec(line);
        if (match !== null) resolve(match);
      });
    });
  }

  /** What to do if a port was taken. */
  #advice(): string | undefined {
    const taken = /cannot listen on (\S+): .*(?:EADDRINUSE|No address added)/;
    const where = taken.exec(this.#complaints)?.[1];
    if (where === undefined) return undefined;
    const { env } = this.#io;
    const command = env['MAKELEVEL'] === undefined ? `${ownCommand(env)} dev` : 'make run';
    return `${where} is taken: perhaps this is already running. Stop the other one, or use other ports:\n\n  ${OTHER_PORTS} ${command}`;
  }

  /** A second time: the gateway stops at once. */
  stop(code: number): void {
    if (this.#isStopping) {
      this.#children.at(-1)?.kill('SIGTERM');
      return;
    }
    this.#isStopping = true;
    inBackground(
      this.#stopAll().then(() => {
        this.#ended.resolve(code);
      }),
      (error) => {
        this.#ended.reject(error);
      },
    );
  }

  /** The gateway first, so that it can answer what is in flight; then the chat. Each by its own pid. */
  async #stopAll(): Promise<void> {
    for (const child of this.#children.toReversed()) await this.#end(child);
  }

  async #end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const exit = Promise.withResolvers<void>();
    child.once('exit', () => {
      exit.resolve();
    });
    const cancel = this.#io.clock.setTimer(STOP_MS, () => child.kill('SIGKILL'));
    child.kill('SIGTERM');
    await exit.promise;
    cancel();
  }
}
