/** A page as something to be run: its blocks and commands, and a shell that runs them as a newcomer would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

import { hasProgram } from './npm-clients.ts';
import { run } from './process.ts';
import { ROOT } from './serve.ts';
import { eventually } from './wait.ts';

/** A fenced block. `section` is the heading of the second level above it; '' before the first. */
export type Block = {
  readonly section: string;
  /** What is written after the fence; '' for output and pictures. */
  readonly lang: string;
  readonly text: string;
  readonly commands: readonly Command[];
};

/** A line of a `sh` block, without its comment. */
export type Command = {
  readonly text: string;
  /** The JSON that it prints, from a comment that begins with an arrow; `…` is anything. '': nothing said. */
  readonly prints: string;
  /** Commands to run the first time, before it, from a comment that says so. */
  readonly before: readonly string[];
};

export function readBlocks(page: string): Block[] {
  const blocks: Block[] = [];
  let section = '';
  let open: { lang: string; lines: string[] } | null = null;
  for (const line of page.split('\n')) {
    const fence = /^```(\w*)$/.exec(line);
    if (fence === null) {
      if (open !== null) open.lines.push(line);
      else if (line.startsWith('## ')) section = line.slice(3);
      continue;
    }
    if (open === null) {
      open = { lang: fence[1]!, lines: [] };
      continue;
    }
    const { lang, lines } = open;
    const commands = lang === 'sh' ? lines.filter((one) => one !== '').map(readCommand) : [];
    blocks.push({ section, lang, text: `${lines.join('\n')}\n`, commands });
    open = null;
  }
  return blocks;
}

function readCommand(line: string): Command {
  const [, text, note] = /^(.*?)(?:\s+# (.*))?$/.exec(line)!;
  const prints = note?.startsWith('→ ') ? note.slice(2) : '';
  const first = 'first time only: ';
  const before = note?.startsWith(first) ? note.slice(first.length).split(' && ') : [];
  return { text: text!, prints, before };
}

/** Fails where something listens on one of these ports already. */
export async function expectFree(ports: readonly number[]): Promise<void> {
  const taken: number[] = [];
  for (const port of ports) {
    const server = net.createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ port, host: '0.0.0.0' }, () => resolve(true));
    });
    if (isFree) await new Promise((resolve) => server.close(resolve));
    else taken.push(port);
  }
  if (taken.length > 0)
    throw new Error(`the pages use default ports: stop what listens on ${taken.join(', ')}`);
}

/** A command that stays until it is told to stop. */
export type Staying = {
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The exit code, once everything that it had started has ended too. */
  readonly ended: Promise<number | null>;
  /** Ctrl-C. */
  stop(): Promise<void>;
};

/**
 * A newcomer's shell. Home is a folder of its own with the clone in `~/pith` and an empty `~/hello`; caches of Go
 * stay where they are. Where there is no `nats`, one stands in that knows `pub` and `req`.
 */
export class Shell implements AsyncDisposable {
  readonly home: string;
  readonly #env: NodeJS.ProcessEnv;
  /** By their commands, in the order of their starts. */
  readonly #staying = new Map<string, Staying>();

  private constructor(home: string, env: NodeJS.ProcessEnv) {
    this.home = home;
    this.#env = env;
  }

  /** @param programs Folders with programs that are found first. */
  static async open(programs: readonly string[] = []): Promise<Shell> {
    const home = mkdtempSync(join(tmpdir(), 'pith-readme-'));
    symlinkSync(ROOT, join(home, 'pith'));
    const paths = [...programs, dirname(process.execPath), process.env['PATH'] ?? ''];
    if (!hasProgram('nats')) paths.unshift(writeStandIn(home));
    // Not ours: settings of the gateway, and make's, which would make the make inside another one.
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(PITH_|MAKE|MFLAGS|XDG_)/.test(name),
    );
    const env = { ...Object.fromEntries(kept), ...(await goCaches()) };
    return new Shell(home, { ...env, HOME: home, NO_COLOR: '1', PATH: paths.join(delimiter) });
  }

  /** An empty `~/hello`. */
  hello(): string {
    const dir = join(this.home, 'hello');
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir);
    return dir;
  }

  /** Runs a command to its end, in the clone unless told. */
  async run(
    command: string,
    cwd = ROOT,
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const one = this.#spawn(command, cwd);
    const code = await one.ended;
    return { code, stdout: one.stdout(), stderr: one.stderr() };
  }

  /** Starts a command that stays, unless it is there already, and waits for its output. */
  async start(command: string, ready: RegExp, cwd = ROOT): Promise<Staying> {
    const before = this.#staying.get(command);
    if (before !== undefined) return before;
    const one = this.#spawn(command, cwd);
    this.#staying.set(command, one);
    let hasEnded = false;
    void one.ended.then(() => (hasEnded = true));
    const output = (): string => `${one.stdout()}${one.stderr()}`;
    await eventually(
      () => {
        if (ready.test(output())) return true;
        if (hasEnded) throw new Error(`${command} has ended:\n${output()}`);
        return false;
      },
      `${String(ready)} of ${command}`,
      60_000,
    );
    return one;
  }

  /** Stops what stays, the latest first. */
  async stopAll(): Promise<void> {
    const all = [...this.#staying.values()].toReversed();
    this.#staying.clear();
    for (const one of all) await one.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll();
    rmSync(this.home, { recursive: true, force: true });
  }

  #spawn(command: string, cwd: string): Staying {
    const child = spawn('sh', ['-c', command], {
      cwd,
      env: this.#env,
      // A process group of its own, as a terminal gives one to each command; it is what Ctrl-C ends.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return {
      stdout: () => stdout,
      stderr: () => stderr,
      ended,
      async stop() {
        signalGroup(child, 'SIGINT');
        // Longer than `make run` takes to end what it has started.
        const late = setTimeout(() => signalGroup(child, 'SIGKILL'), 40_000);
        await ended;
        clearTimeout(late);
      },
    };
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal);
  } catch {
    // All of it has ended.
  }
}

/** Where Go keeps things, which it would look for in the new home. */
async function goCaches(): Promise<Record<string, string>> {
  if (!hasProgram('go')) return {};
  const { output } = await run('go', ['env', '-json', 'GOPATH', 'GOCACHE', 'GOMODCACHE']);
  return JSON.parse(output) as Record<string, string>;
}

/** What the page asks of the `nats` program, for machines without it. Gives the folder for the PATH. */
function writeStandIn(home: string): string {
  const bin = join(home, 'bin');
  mkdirSync(bin);
  const file = join(bin, 'nats');
  writeFileSync(
    file,
    `#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { connect, headers } from '${import.meta.resolve('nats')}';

const options = { header: { type: 'string', short: 'H', multiple: true }, raw: { type: 'boolean' } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [verb, subject, body] = positionals;
const h = headers();
for (const one of values.header ?? []) {
  const colon = one.indexOf(':');
  h.append(one.slice(0, colon), one.slice(colon + 1));
}
const nc = await connect({ servers: '127.0.0.1:4222' });
if (verb === 'pub') nc.publish(subject, body, { headers: h });
else if (verb === 'req') console.log((await nc.request(subject, body, { headers: h, timeout: 5000 })).string());
else throw new Error('nats: pub or req is expected');
await nc.drain();
`,
  );
  chmodSync(file, 0o755);
  return bin;
}
