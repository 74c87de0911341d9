/** Two processes of one gateway, and between them what their parent does: it passes on what they say, with sockets. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import type { RawHandle } from '../../src/transport/raw-handle.ts';
import type { HandedOver } from '../../src/takeover/hand-over.ts';
import { configFile, ROOT } from './serve.ts';
import type { FromProcess, ToProcess } from './takeover-process.ts';
import { PATIENCE_MS } from './wait.ts';

const FREE_PORTS = `
listen: [{ url: "auto://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
limits: { event_loop_lag: 0s, messages_per_second: 1000000, burst: 1000000 }
`;

export class GatewayProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  output = '';
  /** Gets what this one says to it. */
  other: GatewayProcess | null = null;
  /** Looks at what is passed on; false: it gets lost. */
  mayPass: (message: { say?: string; [field: string]: unknown }) => boolean = () => true;
  readonly #file: Disposable;
  readonly #heard: FromProcess[] = [];
  #look: () => void = () => {};

  constructor(role: 'old' | 'new', yaml: string) {
    const named = new Set([...yaml.matchAll(/^([a-z_]+):/gm)].map((match) => match[1]));
    const rest = FREE_PORTS.split('\n').filter((line) => !named.has(line.split(':')[0]));
    const file = configFile(`${rest.join('\n')}\n${yaml}`);
    this.#file = file;
    this.child = fork(join(ROOT, 'test/support/takeover-process.ts'), [role, file.path], {
      ...{ execArgv: [], silent: true },
    });
    this.exited = once(this.child, 'exit');
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.on('data', (text: Buffer) => {
        this.output += text.toString();
      });
    this.child.on('message', (message: FromProcess, handle: unknown) => {
      if ('line' in message) this.#pass(message.line, handle as RawHandle | undefined);
      else {
        this.#heard.push(message);
        this.#look();
      }
    });
    void this.exited.then(() => {
      if (this.other?.child.connected) this.other.child.send({ line: null } satisfies ToProcess);
      this.#look();
    });
  }

  #pass(line: object, handle: RawHandle | undefined): void {
    const { other } = this;
    if (other?.child.connected && this.mayPass(line as { say?: string }))
      other.child.send({ line } satisfies ToProcess, handle as never, () => handle?.close());
    else handle?.close();
  }

  /** What it says next of this kind. */
  async hears<Name extends 'serving' | 'handedOver' | 'failed'>(
    name: Name,
  ): Promise<Extract<FromProcess, Record<Name, unknown>>[Name]> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const at = this.#heard.findIndex((one) => name in one);
      if (at >= 0) return (this.#heard.splice(at, 1)[0] as never)[name];
      if (this.child.exitCode !== null || late.aborted)
        throw new Error(`no ${name}: ${JSON.stringify(this.#heard)}\n${this.output.slice(-4_000)}`);
      await new Promise<void>((resolve) => {
        this.#look = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    if (this.child.exitCode === null && this.child.signalCode === null) await this.exited;
    this.#file[Symbol.dispose]();
  }
}

export type OldProcess = GatewayProcess & { readonly id: string; readonly port: number };

export async function startOld(yaml: string): Promise<OldProcess> {
  const old = new GatewayProcess('old', yaml);
  try {
    const { id, clients } = await old.hears('serving');
    return Object.assign(old, { id, port: Number(clients[0]!.split(':').pop()) });
  } catch (error) {
    await old[Symbol.asyncDispose]();
    throw error;
  }
}

/** Begins a new process that takes over. */
export function takeOver(old: GatewayProcess, yaml: string): GatewayProcess {
  const next = new GatewayProcess('new', yaml);
  next.other = old;
  old.other = next;
  old.child.send({ handOver: true } satisfies ToProcess);
  return next;
}

/** What became of it; rejects if nothing changed hands. */
export async function moved(old: GatewayProcess): Promise<Extract<HandedOver, { moved: number }>> {
  const outcome = await old.hears('handedOver');
  if ('why' in outcome) throw new Error(`${outcome.why}\n${old.output}\n${old.other?.output}`);
  return outcome;
}
