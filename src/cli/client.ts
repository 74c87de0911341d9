/**
 * `pith client`: a Pomelo client on the command line. With --request it sends one request; otherwise it reads commands,
 * from a person or a pipe. Answers and pushes go to stdout, everything about the connection to stderr.
 */
import readline from 'node:readline';

import { ClientError, PithClient, type Received } from '../client/client.ts';
import { type Clock, sleep } from '../clock.ts';
import { errorText } from '../errors.ts';
import { ROUTE_BYTES_MAX } from '../protocol/message.ts';
import { isRoute } from '../routing/route.ts';
import { readSettings, type Settings, USAGE } from './client-settings.ts';
import { EXIT } from './exit-codes.ts';
import { oneLine } from './one-line.ts';
import { withProgress } from './progress.ts';
import { isErrorAnswer, valueOf } from './received.ts';
import { connectText, jsonBody } from './server-settings.ts';

const PROMPT = '> ';

const HELP = `ROUTE {"some":"json"}            a request, e.g. chat.room.join {"name":"ann","room":"lobby"}
request ROUTE {"some":"json"}    the same, also for routes without a dot
notify ROUTE {"some":"json"}     a message without an answer
quit
Without JSON the body is {}. Lines that begin with # are ignored.
`;

/** Parts of a handshake's `sys` that may be long, and what their entries are called. */
const LONG_PARTS: Readonly<Record<string, string>> = {
  dict: 'routes',
  routeToCode: 'routes',
  codeToRoute: 'codes',
  server: 'messages',
  client: 'messages',
};
/** Characters of a handshake that are printed; a `user` block may have any length. */
const HANDSHAKE_SHOWN_MAX = 1_000;

/** What the client needs of the process. */
export type ClientIo = {
  readonly args: readonly string[];
  readonly stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream;
  readonly clock: Clock;
  readonly version: string;
};

/** Runs until the end of the input or the connection. @returns The exit code. */
export async function runClient(io: ClientIo): Promise<number> {
  let settings: Settings | null;
  try {
    settings = readSettings(io.args);
  } catch (error) {
    io.stderr.write(`pith: ${errorText(error)}\nsee pith client --help\n`);
    return EXIT.USAGE;
  }
  if (settings === null) {
    io.stdout.write(USAGE);
    return EXIT.OK;
  }
  return new Terminal(io, settings).run();
}

class Terminal {
  readonly #io: ClientIo;
  readonly #settings: Settings;
  /** While commands are read. */
  #lines: readline.Interface | null = null;
  /** A person is typing. */
  #hasPrompt = false;
  #isAnswered = false;
  #isConnected = false;
  #exitCode: number = EXIT.OK;

  constructor(io: ClientIo, settings: Settings) {
    this.#io = io;
    this.#settings = settings;
  }

  async run(): Promise<number> {
    const { url, where, dialect, dial, user, timeoutMs, route, data, waitPushesMs } =
      this.#settings;
    const { clock, version } = this.#io;
    const client = new PithClient(url.href, {
      dialect,
      dial,
      user,
      clock,
      timeoutMs,
      connectTimeoutMs: timeoutMs,
      sys: { version },
      // The user sees that the connection was lost, and decides.
      reconnect: false,
      raw: true,
    });
    this.#listen(client);
    const lost = new Promise<true>((resolve) => {
      client.onState(({ state, error }) => {
        if (state !== 'closed') return;
        if (error !== undefined && this.#isConnected) this.#onEnded(error.message);
        resolve(true);
      });
    });
    try {
      await this.#slowly(`connecting to ${where}`, client.connect());
    } catch (error) {
      this.#say(`pith: cannot connect to ${where}: ${connectText(error)}`);
      return EXIT.UNAVAILABLE;
    }
    if (route === '') await this.#readCommands(client, lost);
    else await this.#request(client, route, data, '');
    const isLost = await Promise.race([lost, sleep(clock, waitPushesMs).then(() => false)]);
    await client.close();
    return isLost && !(route !== '' && this.#isAnswered) ? EXIT.UNAVAILABLE : this.#exitCode;
  }

  #listen(client: PithClient): void {
    client.onState(({ state }) => {
      if (state !== 'open') return;
      // Printed before any push that follows in the same segment.
      this.#isConnected = true;
      const handshake = handshakeText(client.handshake);
      this.#say(`connected to ${this.#settings.where}, handshake ${handshake}`);
    });
    client.onPush('*', (_, push) => {
      this.#print(`${oneLine(push.route)} ${printable(push)}`);
    });
    client.onKick(({ body }) => {
      this.#say(`kicked ${body === undefined ? '' : JSON.stringify(body)}`);
    });
    client.onError(({ message }) => {
      this.#say(`pith: ${message}`);
    });
  }

  #onEnded(why: string): void {
    const lines = this.#lines;
    this.#leavePrompt();
    this.#say(`disconnected: ${why}`);
    lines?.close();
  }

  async #readCommands(client: PithClient, lost: Promise<true>): Promise<void> {
    const { stdin, stdout } = this.#io;
    const isPerson = stdin.isTTY === true && stdout.isTTY === true;
    const lines = readline.createInterface({
      input: stdin,
      ...(isPerson && { output: stdout, prompt: PROMPT, terminal: true }),
    });
    this.#lines = lines;
    lines.on('SIGINT', () => {
      lines.close();
    });
    if (isPerson) {
      this.#say('"help" lists the commands, "quit" ends');
      this.#hasPrompt = true;
      lines.prompt();
    }
    for await (const line of lines) {
      if (this.#lines === null || line.trim() === 'quit' || line.trim() === 'exit') break;
      const done = this.#command(client, line.trim());
      // A script's commands run one after another; a person can keep typing.
      if (!isPerson) await Promise.race([done, lost]);
      else if (this.#hasPrompt) lines.prompt();
    }
    this.#leavePrompt();
    lines.close();
    // A person's typing errors do not make the run fail.
    if (isPerson) this.#exitCode = EXIT.OK;
  }

  #leavePrompt(): void {
    if (this.#hasPrompt) this.#io.stdout.write('\n');
    this.#hasPrompt = false;
    this.#lines = null;
  }

  /** Never rejects. */
  async #command(client: PithClient, line: string): Promise<void> {
    if (line === '' || line.startsWith('#')) return;
    const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(line)!;
    if (word === 'help') {
      this.#print(HELP.trimEnd());
      return;
    }
    const isNamed = word === 'request' || word === 'notify';
    if (!isNamed && !(word!.includes('.') && isRoute(word!, ROUTE_BYTES_MAX))) {
      this.#fail(`unknown command ${word}; try help`);
      return;
    }
    const [, route = '', data = ''] = /^(\S*)\s*(.*)$/s.exec(isNamed ? rest! : line)!;
    if (route === '') {
      this.#fail(`expected ${word} ROUTE JSON`);
      return;
    }
    try {
      const body = jsonBody(data);
      if (word === 'notify') client.notify(route, bodyOf(client, route, body));
      else await this.#request(client, route, body, `${route} → `);
    } catch (error) {
      this.#fail(errorText(error));
    }
  }

  async #request(client: PithClient, route: string, data: string, label: string): Promise<void> {
    let answer: Received;
    try {
      const asked = client.ask(route, bodyOf(client, route, data));
      answer = await this.#slowly(`waiting for the answer to ${route}`, asked);
    } catch (error) {
      // Timed out, too long for the protocol, or the connection was lost.
      const isLate = error instanceof ClientError && error.reason === 'TIMEOUT';
      const text = errorText(error);
      this.#fail(isLate ? text : `${route} was not answered: ${text}`);
      return;
    }
    this.#isAnswered = true;
    this.#print(label + printable(answer));
    if (isErrorAnswer(answer)) this.#exitCode = EXIT.NO;
  }

  #slowly<T>(what: string, work: Promise<T>): Promise<T> {
    const say = (line: string): void => {
      this.#say(line);
    };
    return withProgress(this.#io.clock, say, what, work);
  }

  #fail(text: string): void {
    this.#exitCode = EXIT.NO;
    this.#say(`pith: ${text}`);
  }

  #print(line: string): void {
    this.#write(this.#io.stdout, line);
  }

  #say(line: string): void {
    this.#write(this.#io.stderr, oneLine(line));
  }

  /** Writes a whole line above what a person is typing. */
  #write(stream: NodeJS.WritableStream, line: string): void {
    if (this.#hasPrompt) {
      readline.cursorTo(this.#io.stdout, 0);
      readline.clearLine(this.#io.stdout, 0);
    }
    stream.write(`${line}\n`);
    if (this.#hasPrompt) this.#lines?.prompt(true);
  }
}

/** The body as typed; as a value if the server's definitions encode it as protobuf. */
function bodyOf(client: PithClient, route: string, json: string): unknown {
  return client.encodesProtobuf(route) ? JSON.parse(json) : Buffer.from(json);
}

/** The handshake as JSON, with only the size of parts that may be long. */
export function handshakeText(handshake: unknown): string {
  const text = JSON.stringify(handshake, (key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    const many = LONG_PARTS[key];
    return many === undefined ? value : `${Object.keys(value).length} ${many}`;
  });
  return text.length <= HANDSHAKE_SHOWN_MAX ? text : `${text.slice(0, HANDSHAKE_SHOWN_MAX)}…`;
}

/** The message on one line; protobuf as JSON, and anything but text as hex. */
function printable(received: Received): string {
  const bytes = Buffer.from(received.bytes);
  const value = valueOf(received);
  if (received.isProtobuf && value !== undefined) return oneLine(JSON.stringify(value));
  const text = bytes.toString('utf8');
  if (text.includes('\ufffd')) return `<${bytes.length} bytes: ${bytes.toString('hex')}>`;
  return oneLine(/[\r\n\t]/.test(text) && value !== undefined ? JSON.stringify(value) : text);
}
