/**
 * `pith mock-backend`: a gRPC backend that answers every route from a file, for building a client before there is a
 * server. It prints every request on stdout.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import type { Clock } from '../clock.ts';
import { parseAddress } from '../config/address.ts';
import { errorText, fileErrorText } from '../errors.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { type Json, type MockAnswer, MockAnswers } from './mock-answers.ts';
import { readOptions, UsageError } from './options.ts';

const PROTOS = fileURLToPath(new URL('../../proto', import.meta.url));

export const USAGE = `pith mock-backend [--listen ADDRESS] [--answers FILE]

Answers every request with its own body, or from FILE: a YAML list, of which the first entry that matches counts.
ADDRESS defaults to 127.0.0.1:9000. Every request is printed.

  - match: chat.room.join               # as in routes: * is one segment, > the rest
    answer: { code: 200, you: "{body.name}", uid: "{uid}" }
    bind: "{body.name}"                 # binds the session
    pushes: [{ route: onJoin, body: { name: "{body.name}" }, after: 1s }]
    delay: 200ms
  - match: "shop.>"
    error: { code: 409, reason: SOLD_OUT, msg: "nothing left" }

Point a gateway at it: backends: { mock: { grpc: "127.0.0.1:9000" } }, routes: [{ match: ">", backend: mock }]
`;

export type MockIo = {
  readonly args: readonly string[];
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly clock: Clock;
  /** Resolves when it is time to stop. */
  readonly stopped: Promise<void>;
};

type Request = {
  session: { sid: string; uid: string } | null;
  route: string;
  notify: boolean;
  body: Buffer;
};
type Frame = { id: number; request?: Request; connect?: object };
type Link = grpc.ServerDuplexStream<{ frames: Frame[] }, { frames: Json[] }>;

/** Serves until `stopped` resolves. @returns The exit code. */
export async function runMockBackend(io: MockIo): Promise<number> {
  const say = (code: number, text: string): number => {
    io.stderr.write(`pith mock-backend: ${text}\n`);
    return code;
  };
  let flags: Flags | null;
  try {
    flags = readFlags(io.args);
  } catch (error) {
    return say(EXIT.USAGE, `${errorText(error)}\nsee pith mock-backend --help`);
  }
  if (flags === null) {
    io.stdout.write(USAGE);
    return EXIT.OK;
  }
  let answers = MockAnswers.echo();
  if (flags.answers !== undefined) {
    let text: string;
    try {
      text = readFileSync(flags.answers, 'utf8');
    } catch (error) {
      return say(EXIT.CONFIG, `${flags.answers} cannot be read: ${fileErrorText(error)}`);
    }
    try {
      answers = MockAnswers.of(text);
    } catch (error) {
      return say(EXIT.CONFIG, `${flags.answers}: ${errorText(error)}`);
    }
  }
  const server = new MockServer(answers, io);
  try {
    await server.listen(flags.listen);
  } catch (error) {
    return say(EXIT.OS, errorText(error));
  }
  await io.stopped;
  server.stop();
  return EXIT.OK;
}

type Flags = { readonly listen: string; readonly answers: string | undefined };

/** null: help is requested. @throws {UsageError} Says what is wrong. */
function readFlags(args: readonly string[]): Flags | null {
  const options = readOptions(args, COMMANDS['mock-backend'].options);
  if (options.wantsHelp) return null;
  if (options.positionals.length > 0)
    throw new UsageError(
      `${options.positionals.join(' ')} was not expected; answers come from --answers FILE`,
    );
  const listen = options.text('listen') ?? '127.0.0.1:9000';
  try {
    parseAddress(listen);
  } catch (error) {
    throw new UsageError(`--listen ${listen}: ${errorText(error)}`);
  }
  return { listen, answers: options.text('answers') };
}

class MockServer {
  readonly #answers: MockAnswers;
  readonly #io: MockIo;
  readonly #server = new grpc.Server();

  constructor(answers: MockAnswers, io: MockIo) {
    this.#answers = answers;
    this.#io = io;
    const definition = loadSync('pith/v1/backend.proto', {
      includeDirs: [PROTOS],
      defaults: true,
      longs: Number,
      arrays: true,
    });
    this.#server.addService(definition['pith.v1.Backend'] as grpc.ServiceDefinition, {
      Handle: (call: { request: Request }, done: grpc.sendUnaryData<Json>) => {
        this.#answer(call.request, (reply) => {
          done(null, reply);
        });
      },
      Connect: (_call: unknown, done: grpc.sendUnaryData<Json>) => {
        done(null, { accept: {} });
      },
      Link: (stream: Link) => {
        this.#link(stream);
      },
    });
  }

  async listen(address: string): Promise<void> {
    const port = await new Promise<number>((resolve, reject) => {
      const insecure = grpc.ServerCredentials.createInsecure();
      this.#server.bindAsync(address, insecure, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    const where = port > 1 ? address.replace(/\d+$/, `${port}`) : address;
    this.#say(`listening on ${where}`);
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #link(stream: Link): void {
    const write = (frame: Json): void => {
      if (stream.writable) stream.write({ frames: [frame] });
    };
    stream.on('data', ({ frames }: { frames: Frame[] }) => {
      for (const { id, request, connect } of frames) {
        if (connect) write({ id, connect: { accept: {} } });
        if (!request) continue;
        this.#answer(
          request,
          (reply) => {
            // A notify has no reply on a Link.
            if (!request.notify) write({ id, reply });
          },
          (push) => {
            write({ push });
          },
        );
      }
    });
    stream.on('end', () => stream.end());
    stream.on('error', () => {});
    write({ hello: { instance: 'mock', version: '1' } });
  }

  /** `push` is absent if only the reply can carry pushes; then later ones are sent with it too. */
  #answer(request: Request, reply: (reply: Json) => void, push?: (push: Json) => void): void {
    const { session, route, notify, body } = request;
    const { sid, uid } = session ?? { sid: '', uid: '' };
    const mocked = this.#answers.of({ route, uid, sid, body: jsonOf(body) });
    this.#say(`${notify ? 'notify' : 'request'} ${route} ${body.toString()} from ${uid || sid}`);
    const pushed = ({ route: name, body: value }: MockAnswer['pushes'][number]): Json => ({
      target: { sids: [sid] },
      route: name,
      body: { bytes: bytesOf(value) },
    });
    const answer = (): void => {
      reply({
        ...(mocked.error === null
          ? { body: { bytes: bytesOf(mocked.answer) } }
          : { error: mocked.error }),
        ...(mocked.bind !== '' && { patch: { uid: mocked.bind } }),
        pushes: mocked.pushes.filter(({ afterMs }) => afterMs === 0 || !push).map(pushed),
      });
      for (const late of mocked.pushes) {
        if (late.afterMs === 0 || !push) continue;
        this.#io.clock.setTimer(late.afterMs, () => {
          push(pushed(late));
        });
      }
    };
    if (mocked.delayMs === 0) answer();
    else this.#io.clock.setTimer(mocked.delayMs, answer);
  }

  #say(text: string): void {
    this.#io.stdout.write(`mock: ${text}\n`);
  }
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value ?? {}));
}

function jsonOf(body: Buffer): unknown {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch {
    return null;
  }
}
