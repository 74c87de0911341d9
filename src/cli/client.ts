/**
 * `pith client`: a Pomelo client at the command line. With --request it asks once; without, it reads commands,
 * from a person or from a pipe. Answers and pushes go to stdout, what becomes of the connection to stderr.
 */
import readline from 'node:readline';
import { parseArgs } from 'node:util';

import { type Clock, sleep } from '../clock.ts';
import { parseDuration } from '../config/units.ts';
import { errorText } from '../errors.ts';
import { isRoute } from '../routing/route.ts';
import { ROUTE_BYTES_MAX } from '../protocol/message.ts';
import { type Answer, parseServerUrl, PomeloClient, URL_FORMS } from './pomelo-client.ts';

const DEFAULT_URL = 'ws://127.0.0.1:3010';
const PROMPT = '> ';

/** UNAVAILABLE: no connection, or none any more. [sysexits.h] */
const EXIT = { OK: 0, FAILED: 1, USAGE: 64, UNAVAILABLE: 69 } as const;

const USAGE = `pith client [URL]                                 reads commands; "help" lists them
pith client [URL] --request ROUTE [--data JSON]   asks once

  --timeout 5s       for the connection and for each answer
  --wait-pushes 0s   how long to go on printing pushes at the end

URL is ${DEFAULT_URL} unless given: ${URL_FORMS}.
Exit code: 0 answered; 1 an error (code 400 or more), or no answer in time; 69 no connection.
`;

const HELP = `ROUTE {"some":"json"}            a request, e.g. chat.room.join {"name":"ann","room":"lobby"}
request ROUTE {"some":"json"}    the same, also for routes without a dot
notify ROUTE {"some":"json"}     no answer comes
quit
Without JSON the body is {}. Lines that begin with # are passed over.
`;

/** What the client needs of the process. */
export type ClientIo = {
  readonly args: readonly string[];
  readonly stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream;
  readonly clock: Clock;
  readonly version: string;
};

type Settings = {
  readonly url: URL;
  /** The URL as it was typed. */
  readonly where: string;
  /** '': read commands. */
  readonly route: string;
  readonly data: string;
  readonly timeoutMs: number;
  readonly waitPushesMs: number;
};

/** Runs until the end of the input, or of the connection; gives the exit code. */
export async function runClient(io: ClientIo): Promise<number> {
  let settings: Settings | null;
  try {
    settings = readSettings(io.args);
  } catch (error) {
    io.stderr.write(`pith: ${errorText(error)}\npith client --help says more\n`);
    return EXIT.USAGE;
  }
  if (settings === null) {
    io.stdout.write(USAGE);
    return EXIT.OK;
  }
  return new Terminal(io, settings).run();
}

/** null: help is wanted. */
function readSettings(args: readonly string[]): Settings | null {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      request: text,
      data: text,
      timeout: { ...text, default: '5s' },
      'wait-pushes': { ...text, default: '0s' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return null;
  const [where = DEFAULT_URL, ...more] = positionals;
  if (more.length > 0) throw new Error(`one URL is expected, not ${positionals.join(' ')}`);
  const url = parseServerUrl(where);
  if (url === null) throw new Error(`${where} is no URL of a server: ${URL_FORMS} is expected`);
  if (values.data !== undefined && values.request === undefined)
    throw new Error('--data goes with --request');
  return {
    url,
    where,
    route: values.request ?? '',
    data: jsonBody(values.data ?? ''),
    timeoutMs: readDuration('--timeout', values.timeout),
    waitPushesMs: readDuration('--wait-pushes', values['wait-pushes']),
  };
}

function readDuration(name: string, text: string): number {
  const ms = parseDuration(text);
  if (Number.isNaN(ms)) throw new Error(`${name} ${text}: a duration is expected, as 500ms or 5s`);
  return ms;
}

/** The body as it was typed, `{}` for none. Throws when it is not JSON. */
function jsonBody(text: string): string {
  if (text === '') return '{}';
  if (parseJson(text) === undefined) throw new Error(`${text} is not JSON, as {"text":"hi"} is`);
  return text;
}

class Terminal {
  readonly #io: ClientIo;
  readonly #settings: Settings;
  /** While commands are read. */
  #lines: readline.Interface | null = null;
  /** A person is typing. */
  #hasPrompt = false;
  #isAnswered = false;
  #isLeaving = false;
  #exitCode: number = EXIT.OK;

  constructor(io: ClientIo, settings: Settings) {
    this.#io = io;
    this.#settings = settings;
  }

  async run(): Promise<number> {
    const { url, where, route, data, timeoutMs, waitPushesMs } = this.#settings;
    const { clock, version } = this.#io;
    let client: PomeloClient;
    try {
      client = await PomeloClient.connect(url, {
        clock,
        timeoutMs,
        version,
        onPush: (name, body) => {
          this.#print(`${printable(Buffer.from(name))} ${printable(body)}`);
        },
        onKick: (body) => {
          this.#say(`kicked ${printable(body)}`);
        },
      });
    } catch (error) {
      this.#say(`pith: cannot connect to ${where}: ${errorText(error)}`);
      return EXIT.UNAVAILABLE;
    }
    this.#say(`connected to ${where}, handshake ${printable(client.handshake)}`);
    const lost = client.ended.then((why) => {
      this.#onEnded(why);
      return true;
    });
    if (route === '') await this.#readCommands(client, lost);
    else await this.#request(client, route, data, '');
    const isLost = await Promise.race([lost, sleep(clock, waitPushesMs).then(() => false)]);
    this.#isLeaving = true;
    await client.close();
    return isLost && !(route !== '' && this.#isAnswered) ? EXIT.UNAVAILABLE : this.#exitCode;
  }

  #onEnded(why: string): void {
    if (this.#isLeaving) return;
    const lines = this.#lines;
    this.#leavePrompt();
    this.#say(`disconnected: ${why}`);
    lines?.close();
  }

  async #readCommands(client: PomeloClient, lost: Promise<boolean>): Promise<void> {
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
      // A script's commands wait for each other; a person goes on typing.
      if (!isPerson) await Promise.race([done, lost]);
      else if (this.#hasPrompt) lines.prompt();
    }
    this.#leavePrompt();
    lines.close();
    // What a person typed may have been wrong: that is no failure of the run.
    if (isPerson) this.#exitCode = EXIT.OK;
  }

  #leavePrompt(): void {
    if (this.#hasPrompt) this.#io.stdout.write('\n');
    this.#hasPrompt = false;
    this.#lines = null;
  }

  /** Never rejects. */
  async #command(client: PomeloClient, line: string): Promise<void> {
    if (line === '' || line.startsWith('#')) return;
    const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(line)!;
    if (word === 'help') {
      this.#print(HELP.trimEnd());
      return;
    }
    const isNamed = word === 'request' || word === 'notify';
    if (!isNamed && !(word!.includes('.') && isRoute(word!, ROUTE_BYTES_MAX))) {
      this.#fail(`there is no command ${word}; try help`);
      return;
    }
    const [, route = '', data = ''] = /^(\S*)\s*(.*)$/s.exec(isNamed ? rest! : line)!;
    if (route === '') {
      this.#fail(`${word} ROUTE JSON is expected`);
      return;
    }
    try {
      const body = jsonBody(data);
      if (word === 'notify') client.notify(route, Buffer.from(body));
      else await this.#request(client, route, body, `${route} → `);
    } catch (error) {
      this.#fail(errorText(error));
    }
  }

  async #request(client: PomeloClient, route: string, data: string, label: string): Promise<void> {
    let answer: Answer | null;
    try {
      answer = await client.request(route, Buffer.from(data));
    } catch (error) {
      // Too long for the protocol, or the connection ended.
      this.#fail(`${route} was not answered: ${errorText(error)}`);
      return;
    }
    if (answer === null) {
      this.#fail(`${route} was not answered in ${this.#settings.timeoutMs} ms`);
      return;
    }
    this.#isAnswered = true;
    this.#print(label + printable(answer.body));
    if (isErrorAnswer(answer)) this.#exitCode = EXIT.FAILED;
  }

  #fail(text: string): void {
    this.#exitCode = EXIT.FAILED;
    this.#say(`pith: ${text}`);
  }

  #print(line: string): void {
    this.#write(this.#io.stdout, line);
  }

  #say(line: string): void {
    this.#write(this.#io.stderr, line);
  }

  /** A whole line, above what a person is just typing. */
  #write(stream: NodeJS.WritableStream, line: string): void {
    if (this.#hasPrompt) {
      readline.cursorTo(this.#io.stdout, 0);
      readline.clearLine(this.#io.stdout, 0);
    }
    stream.write(`${line}\n`);
    if (this.#hasPrompt) this.#lines?.prompt(true);
  }
}

/** Error by the flag of the message, or by a `code` of 400 or more in its JSON. */
function isErrorAnswer({ body, isError }: Answer): boolean {
  const value = parseJson(body.toString()) as { code?: unknown } | null | undefined;
  return isError || (typeof value?.code === 'number' && value.code >= 400);
}

/** What came over the wire, on one line and without anything that a terminal obeys; what is no text as hex. */
function printable(body: Buffer): string {
  let text = body.toString('utf8');
  if (text.includes('\ufffd')) return `<${body.length} bytes: ${body.toString('hex')}>`;
  if (/[\r\n\t]/.test(text)) {
    const value = parseJson(text);
    if (value !== undefined) text = JSON.stringify(value);
  }
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** undefined: no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
