/** Parses the command line. Pure. */
import { didYouMean } from '../config/problem.ts';
import type { RoutingFacts } from '../routing/route-table.ts';
import { type AdminPort, adminOf } from './admin-options.ts';
import { BACKENDS, COMMAND_NAMES, COMMANDS, isCommand, SHELLS, type TopBy } from './commands.ts';
import { HELP, type HelpedCommand, OWN_HELP, USAGE } from './help.ts';
import { type Options, readOptions, UsageError } from './options.ts';
import type { AskedTop } from './top.ts';
import type { AskedUpgrade } from './upgrade.ts';
import { isObject } from '../protocol/exact-json.ts';
import { readyFdOf, type Supervision } from './supervision.ts';

/** Where the configuration comes from. */
export type ConfigChoice = {
  readonly file: string;
  /** The file was given; false: it is the default, which need not exist. */
  readonly isNamed: boolean;
  /** A second file, whose keys win, and which may hold only what a reload applies; '': none. */
  readonly live: string;
  /** Those of the two that have been read, and had something in them: to find them gone or empty is a fault. Absent: none. */
  readonly known?: readonly string[];
  /** Values by path, from --set. */
  readonly settings: Readonly<Record<string, string>>;
};

export type Arguments =
  | { readonly command: 'serve'; readonly config: ConfigChoice; readonly supervision: Supervision }
  | { readonly command: 'check'; readonly config: ConfigChoice; readonly json: boolean }
  | {
      readonly command: 'routes';
      readonly config: ConfigChoice;
      readonly route: string;
      readonly session: RoutingFacts;
      readonly json: boolean;
    }
  | {
      readonly command: 'health';
      readonly config: ConfigChoice;
      readonly path: '/livez' | '/readyz';
      readonly json: boolean;
    }
  | {
      readonly command: 'why';
      readonly about: string;
      readonly admin: AdminPort;
      readonly log: string;
      readonly json: boolean;
    }
  | ({ readonly command: 'top' } & AskedTop)
  | { readonly command: 'version'; readonly json: boolean }
  | ({ readonly command: 'upgrade' } & AskedUpgrade)
  | { readonly command: 'schema' | 'dev' }
  | { readonly command: 'docs'; readonly folder: string; readonly isCheck: boolean }
  | { readonly command: 'init'; readonly folder: string; readonly backend: Backend | undefined }
  | { readonly command: 'completion'; readonly shell: Shell }
  /** These parse their own arguments, so that only what they need is loaded. */
  | { readonly command: (typeof OWN_HELP)[number]; readonly args: readonly string[] }
  | { readonly command: 'help'; readonly text: string };

export type Backend = (typeof BACKENDS)[number];
export type Shell = (typeof SHELLS)[number];

const DEFAULT_FILE = 'pith.yaml';
const DOCS_FOLDER = 'reference';
const SAMPLE_SID = 'pith-0000000000.1';

/** @throws {UsageError} Says what is wrong, and where to find help. */
export function readArguments(args: readonly string[]): Arguments {
  const [command = 'help', ...rest] = args;
  switch (command) {
    case '--version':
    case '-v':
      return { command: 'version', json: false };
    case 'help':
    case '--help':
    case '-h':
      return readHelp(rest);
    case 'client':
    case 'probe':
    case 'mock-backend':
    case 'watch':
    case 'profile':
      return { command, args: rest };
    default:
      if (!isCommand(command)) throw unknownCommand(command);
      return withAdvice(command, () => readOwn(command as HelpedCommand, rest));
  }
}

function readHelp([about, ...more]: readonly string[]): Arguments {
  if (about === undefined) return { command: 'help', text: USAGE };
  if (more.length > 0) throw new UsageError('help takes one command, as in pith help serve');
  const own = OWN_HELP.find((one) => one === about);
  if (own !== undefined) return { command: own, args: ['--help'] };
  if (about in HELP) return { command: 'help', text: HELP[about as HelpedCommand] };
  throw unknownCommand(about);
}

function unknownCommand(command: string): UsageError {
  if (command.startsWith('-'))
    return new UsageError(`expected a command before ${command}, as in pith serve\n\n${USAGE}`);
  const near = didYouMean(command, [...COMMAND_NAMES, 'help']);
  return new UsageError(
    `unknown command ${command}${near === '' ? `\n\n${USAGE}` : `${near}\nsee pith help for the commands`}`,
  );
}

function readOwn(command: HelpedCommand, args: readonly string[]): Arguments {
  const options = readOptions(args, COMMANDS[command].options);
  if (options.wantsHelp) return { command: 'help', text: HELP[command] };
  const { positionals } = options;
  const json = options.has('json');
  switch (command) {
    case 'dev':
    case 'schema':
      refuseArguments(command, positionals);
      return { command };
    case 'version':
      refuseArguments(command, positionals);
      return { command, json };
    case 'init':
      return {
        command,
        folder: oneOf('DIR', positionals) ?? '.',
        backend: options.text('backend') as Backend | undefined,
      };
    case 'docs': {
      const folder = oneOf('DIR', positionals) ?? DOCS_FOLDER;
      return { command, folder, isCheck: options.has('check') };
    }
    case 'completion':
      return { command, shell: readShell(oneOf('SHELL', positionals)) };
    case 'serve':
      return {
        command,
        config: readConfigChoice(options, positionals),
        supervision: {
          readyFd: readyFdOf(options.text('ready-fd')),
          exitWithParent: options.has('exit-with-parent'),
          upgradable: options.has('upgradable'),
        },
      };
    case 'check':
      return { command, config: readConfigChoice(options, positionals), json };
    case 'health': {
      const path = options.has('ready') ? '/readyz' : '/livez';
      return { command, config: readConfigChoice(options, positionals), path, json };
    }
    case 'upgrade':
      refuseArguments(command, positionals);
      return { command, pid: readPid(options.text('pid')), json };
    case 'top':
      return { command, ...readTop(options), json };
    case 'why':
      return { command, ...readWhy(options), json };
    case 'routes': {
      const route = oneOf('route', positionals);
      if (route === undefined)
        throw new UsageError('the route is missing; as in pith routes chat.room.join');
      const config = readConfigChoice(options, []);
      return { command, config, route, session: readSession(options), json };
    }
  }
}

function readTop(options: Options): Omit<AskedTop, 'json'> {
  const text = options.text('count') ?? '10';
  const count = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  if (count === 0) throw new UsageError(`--count ${text}: expected a number from 1 to 9999`);
  const by = (options.text('by') ?? 'outbox') as TopBy;
  return { by, count, admin: adminOf(options) };
}

function readPid(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,9}$/.test(text))
    throw new UsageError(`--pid ${text}: expected the pid of pith serve`);
  return Number(text);
}

function readWhy(options: Options): { about: string; admin: AdminPort; log: string } {
  const about = oneOf('SID, UID or REF', options.positionals);
  if (about === undefined)
    throw new UsageError(
      'a ref, a sid or a uid is missing: refs are in error answers (telemetry.refs) and in the log',
    );
  const log = options.text('log');
  if (log === '') throw new UsageError('the FILE of --log is empty');
  return { about, admin: adminOf(options), log: log ?? '' };
}

function refuseArguments(command: string, positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`${command} takes no arguments`);
}

function oneOf(what: string, positionals: readonly string[]): string | undefined {
  if (positionals.length > 1)
    throw new UsageError(`expected one ${what}, not ${positionals.join(' ')}`);
  if (positionals[0] === '') throw new UsageError(`${what} is empty`);
  return positionals[0];
}

function readShell(name: string | undefined): Shell {
  const shell = SHELLS.find((one) => one === name);
  if (shell !== undefined) return shell;
  const what = name === undefined ? 'the shell is missing' : `${name} is no shell that it knows`;
  throw new UsageError(`${what}: expected one of ${SHELLS.join(', ')}`);
}

function readConfigChoice(options: Options, files: readonly string[]): ConfigChoice {
  const file = oneOf('FILE', files);
  const flagged = options.text('config');
  if (file !== undefined && flagged !== undefined)
    throw new UsageError(`expected one FILE, not ${file} and --config ${flagged}`);
  const named = file ?? flagged;
  if (named === '') throw new UsageError('FILE is empty');
  return {
    file: named ?? DEFAULT_FILE,
    isNamed: named !== undefined,
    live: readLive(options),
    settings: readSettings(options.all('set')),
  };
}

function readLive(options: Options): string {
  const live = options.text('live');
  if (live === '') throw new UsageError('the FILE of --live is empty');
  return live ?? '';
}

function readSettings(texts: readonly string[]): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const text of texts) {
    const equals = text.indexOf('=');
    if (equals < 1)
      throw new UsageError(`--set ${text}: expected KEY=VALUE, as in --set log.level=debug`);
    settings[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return settings;
}

function readSession(options: Options): RoutingFacts {
  const text = options.text('data') ?? '{}';
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    data = null;
  }
  if (!isObject(data))
    throw new UsageError(`--data ${text}: expected a JSON object, as in {"room":"r1"}`);
  return {
    uid: options.text('uid') ?? '',
    sid: options.text('sid') ?? SAMPLE_SID,
    data: data as Record<string, unknown>,
  };
}

function withAdvice(command: string, read: () => Arguments): Arguments {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${error.message}\nsee pith ${command} --help`);
  }
}
