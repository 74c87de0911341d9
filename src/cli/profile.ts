/** `pith profile`: writes where a gateway's process spends its time, or its memory. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { errorText, fileErrorText } from '../errors.ts';
import type { Clock } from '../clock.ts';
import { answerOf, failureOf } from './admin-call.ts';
import { ADMIN_HELP, type AdminPort, adminOf, type AskIo, withTokenOf } from './admin-options.ts';
import { type Line, streamFrom } from './admin-stream.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import type { Printed } from './inspect.ts';
import { readOptions, UsageError } from './options.ts';

export const USAGE = `pith profile [FILE] [--heap] [--seconds N] [--worker N|all] [--admin HOST:PORT] [--token TOKEN]

Records where the process of a gateway spends its time, or with --heap where it allocates memory that it still holds, and
writes a file for the developer tools of Chrome and VS Code. FILE defaults to a name with the gateway and the time in the
current folder; nothing is overwritten. The gateway goes on serving, a few per cent slower, and stops for some tens of
milliseconds at the end. One profile at a time.

  --heap                            memory instead of time
  --seconds N                       how long, 1 to 60; default 10
  --worker N                        of this worker, where several serve together: its number is \`worker\` in the log and in
                                    the metrics; all: of each, into a file of its own; default the one that answers
${ADMIN_HELP}
  -h, --help                        print this

Exit code: 0 written; 1 the gateway refused; 64 wrong arguments; 69 nothing answered; 73 FILE is there already, or cannot
be written.
`;

export type ProfileIo = AskIo & {
  readonly args: readonly string[];
  /** The current folder. */
  readonly folder: string;
};

/** null: help is requested. @throws {UsageError} Says what is wrong. */
export function readProfileSettings(args: readonly string[]) {
  const options = readOptions(args, COMMANDS.profile.options);
  if (options.wantsHelp) return null;
  const [file, ...more] = options.positionals;
  if (more.length > 0) throw new UsageError(`expected one FILE, not ${file} ${more.join(' ')}`);
  if (file === '') throw new UsageError('FILE is empty');
  const seconds = options.text('seconds') ?? '10';
  if (!/^([1-9]|[1-5][0-9]|60)$/.test(seconds))
    throw new UsageError(`--seconds ${seconds}: expected a whole number from 1 to 60`);
  const worker = options.text('worker') ?? '';
  if (!/^(|all|[1-9][0-9]{0,2})$/.test(worker))
    throw new UsageError(`--worker ${worker}: expected its number, or all`);
  if (worker === 'all' && file !== undefined)
    throw new UsageError(`--worker all writes a file for each worker: leave ${file} out`);
  const kind = options.has('heap') ? 'heap' : 'cpu';
  return { admin: adminOf(options), file, worker, request: { kind, duration: `${seconds}s` } };
}

/** Never rejects. */
export async function runProfile({ args, env, clock, folder }: ProfileIo): Promise<Printed> {
  let settings: ReturnType<typeof readProfileSettings>;
  try {
    settings = readProfileSettings(args);
  } catch (error) {
    const err = `pith: ${errorText(error)}\nsee pith profile --help\n`;
    return { code: EXIT.USAGE, out: '', err };
  }
  if (settings === null) return { code: EXIT.OK, out: USAGE, err: '' };
  const admin = withTokenOf(settings.admin, env);
  const workers = await workersFor(settings.worker, admin, clock);
  if ('why' in workers) return refused(workers);
  const { request, file } = settings;
  const written = await Promise.all(
    workers.map(async (worker) => {
      const stream = await streamFrom(admin, 'Profile', { ...request, worker }, clock);
      const taken = 'why' in stream ? stream : await gather(stream);
      return 'why' in taken ? refused(taken) : write(taken, file, folder);
    }),
  );
  return {
    code: written.find(({ code }) => code !== EXIT.OK)?.code ?? EXIT.OK,
    out: written.map(({ out }) => out).join(''),
    err: written.map(({ err }) => err).join(''),
  };
}

/** By their numbers; 0: the one that answers. Never rejects. */
async function workersFor(
  asked: string,
  admin: AdminPort,
  clock: Clock,
): Promise<readonly number[] | Refused> {
  if (asked !== 'all') return [Number(asked)];
  try {
    const response = await answerOf(admin, 'GetInfo', {}, clock);
    if ('why' in response) return response;
    const { workers } = (await response.json()) as { workers?: readonly { worker?: number }[] };
    return workers?.map(({ worker = 0 }) => worker) ?? [0];
  } catch (error) {
    return failureOf(admin, error);
  }
}

function refused({ isThere, why }: { isThere: boolean; why: string }): Printed {
  return { code: isThere ? EXIT.NO : EXIT.UNAVAILABLE, out: '', err: `pith: ${why}\n` };
}

function write(taken: Taken, file: string | undefined, folder: string): Printed {
  const name = file ?? taken.name;
  try {
    writeFileSync(resolve(folder, name), taken.data, { flag: 'wx' });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const why = isThere ? 'is there already; name another FILE' : fileErrorText(error);
    return { code: EXIT.CANNOT_CREATE, out: '', err: `pith: ${name}: ${why}\n` };
  }
  return { code: EXIT.OK, out: `wrote ${name}\n`, err: '' };
}

type Taken = { readonly name: string; readonly data: Buffer };
type Stream = Exclude<Awaited<ReturnType<typeof streamFrom>>, { readonly why: string }>;
type Refused = Exclude<Awaited<ReturnType<typeof streamFrom>>, Stream>;

async function gather(stream: Stream): Promise<Taken | Refused> {
  let name = '';
  const pieces: Buffer[] = [];
  for await (const line of stream) {
    if ('why' in line) return line;
    name ||= nameOf(line);
    pieces.push(Buffer.from(textOf(line, 'data'), 'base64'));
  }
  const data = Buffer.concat(pieces);
  if (name !== '' && data.length > 0) return { name, data };
  return {
    ok: false,
    isThere: false,
    why: 'the gateway has ended before the profile was complete',
  };
}

/** Another program than a gateway must not choose where it is written. */
function nameOf(line: Line): string {
  const name = textOf(line, 'name');
  return /^[\w-]{1,120}\.(cpu|heap)profile$/.test(name) ? name : 'gateway.cpuprofile';
}

function textOf({ fields }: Line, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}
