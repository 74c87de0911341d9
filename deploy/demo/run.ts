/**
 * `make run`: a gateway with the embedded bus and the TypeScript chat behind it, started and stopped together.
 * Ports and everything else are in pith.yaml in this folder; PITH_… variables override it, as for `pith serve`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CHAT = 'deploy/examples/chat-ts-grpc/main.ts';
const CONFIG = 'deploy/demo/pith.yaml';
/** Longer than `drain.budget`, so that only what hangs is killed. */
const STOP_MS = 30_000;

/** Puts the gateway on ports that are free. */
const OTHER_PORTS =
  'PITH_LISTEN__0__URL=auto://127.0.0.1:3011 PITH_CONTROL__LISTEN=127.0.0.1:0 ' +
  'PITH_ADMIN__LISTEN=127.0.0.1:0 PITH_HEALTH__LISTEN=127.0.0.1:0';

const children: ChildProcess[] = [];
let isStopping = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (isStopping) children.at(-1)?.kill('SIGTERM'); // a second time: the gateway stops at once
    else void stop(0);
  });
}

const chat = launch([CHAT], { ADDR: '127.0.0.1:0' }, 'inherit');
const address = await lineWith(chat, /listening on (\S+)/);
const gateway = launch(
  ['src/main.ts', 'serve', '--config', CONFIG, ...settings(address[1]!)],
  {},
  'pipe',
);
let complaints = '';
gateway.stderr!.on('data', (chunk: Buffer) => {
  complaints += chunk.toString();
  process.stderr.write(chunk);
});
const { groups } = await lineWith(
  gateway,
  / listening .*clients=\["auto:\/\/(?<clients>[^"]+)".* controlPort=(?<control>\d+) .*healthPort=(?<health>\d+)/,
);
const clients = groups!['clients']!.replace(/^0\.0\.0\.0|^\[::\]/, '127.0.0.1');
process.stdout.write(`
Pith is running, with a chat behind it (${CHAT}). Ctrl-C stops both.

  clients    ws://${clients}  tcp://${clients}
  control    127.0.0.1:${groups!['control']}, gRPC with reflection
  metrics    http://127.0.0.1:${groups!['health']}/metrics

In another terminal, send one request, or type as many as you like (try "help"):

  npm run -s pith -- client ws://${clients} --request chat.room.join --data '{"name":"ann","room":"lobby"}'
  npm run -s pith -- client ws://${clients}

`);

/** Settings besides the file: where the chat is, and a log for people to read. */
function settings(chatAddress: string): string[] {
  const set = [`backends.chat.grpc=${chatAddress}`, 'log.format=pretty'];
  // The gate has to answer with the port that clients really connect to.
  const port = /:(\d+)$/.exec(process.env['PITH_LISTEN__0__URL'] ?? '')?.[1];
  if (port !== undefined && port !== '0') set.push(`backends.gate.reply.port=${port}`);
  return set.flatMap((one) => ['--set', one]);
}

/** Starts a program of ours with this Node; if it ends on its own, everything ends. */
function launch(
  args: readonly string[],
  env: Record<string, string>,
  stderr: 'pipe' | 'inherit',
): ChildProcess {
  const child = spawn(process.execPath, [...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    // A process group of its own: Ctrl-C reaches only us, and we stop them in order.
    detached: true,
    stdio: ['ignore', 'pipe', stderr],
  });
  children.push(child);
  // Not `exit`: by then its last lines may be unread.
  child.on('close', (code, signal) => {
    if (isStopping) return;
    process.stderr.write(`\n${advice() ?? `${args[0]} ended (${code ?? signal})`}\n`);
    void stop(1);
  });
  return child;
}

/** Passes the output on, and waits for a line; never resolves if the program ends before. */
async function lineWith(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      process.stdout.write(`${line}\n`);
      const match = pattern.exec(line);
      if (match !== null) resolve(match);
    });
  });
}

/** What to do if a port was taken. */
function advice(): string | undefined {
  const where = /cannot listen on (\S+): .*(?:EADDRINUSE|No address added)/.exec(complaints)?.[1];
  if (where === undefined) return undefined;
  return `${where} is taken: perhaps this is already running. Stop the other one, or use other ports:\n\n  ${OTHER_PORTS} make run`;
}

/** The gateway first, so that it can answer what is in flight; then the chat. Each by its own pid. */
async function stop(code: number): Promise<void> {
  isStopping = true;
  for (const child of children.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    child.kill('SIGTERM');
    await once(child, 'exit');
    clearTimeout(late);
  }
  process.exit(code);
}
