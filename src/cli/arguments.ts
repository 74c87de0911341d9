/** Parses the command line. Pure. */
import { didYouMean } from '../config/problem.ts';
import type { RoutingFacts } from '../routing/route-table.ts';
import { COMMANDS, HELP, type HelpedCommand, USAGE } from './help.ts';
import { Options, readOptions, UsageError } from './options.ts';
import { isObject } from '../protocol/exact-json.ts';
import { readyFdOf, type Supervision } from './supervision.ts';

/** Where the configuration comes from. */
export type ConfigChoice = {
  readonly file: string;
  /** The file was given; false: it is the default, which need not exist. */
  readonly isNamed: boolean;
  /** Values by path, from --set. */
  readonly settings: Readonly<Record<string, string>>;
};

export type Arguments =
  | { readonly command: 'serve'; readonly config: ConfigChoice; readonly supervision: Supervision }
  | { readonly command: 'check'; readonly config: ConfigChoice }
  | {
      readonly command: 'routes';
      readonly config: ConfigChoice;
      readonly route: string;
      readonly session: RoutingFacts;
    }
  /** These parse their own arguments, so that only what they need is loaded. */
  | { readonly command: 'client' | 'mock-backend'; readonly args: readonly string[] }
  | { readonly command: 'health'; readonly config: ConfigChoice; readonly path: string }
  | { readonly command: 'schema' | 'version' }
  | { readonly command: 'help'; readonly text: string };

const DEFAULT_FILE = 'pith.yaml';
const CONFIG_OPTIONS = {
  config: { value: 'FILE', short: 'c' },
  set: { value: 'KEY=VALUE', many: true },
} as const;
const SERVE_OPTIONS = { 'ready-fd': { value: 'N' }, 'exit-with-parent': {} } as const;
const SESSION_OPTIONS = {
  uid: { value: 'UID' },
  sid: { value: 'SID' },
  data: { value: 'JSON' },
} as const;
const SAMPLE_SID = 'pith-0000000000.1';

/** @throws {UsageError} Says what is wrong, and where to find help. */
export function readArguments(args: readonly string[]): Arguments {
  const [command = 'help', ...rest] = args;
  switch (command) {
    case 'serve':
    case 'check':
    case 'routes':
    case 'health':
    case 'schema':
    case 'version':
      return withAdvice(command, () => readOwn(command, rest));
    case 'client':
    case 'mock-backend':
      return { command, args: rest };
    case '--version':
    case '-v':
      return { command: 'version' };
    case 'help':
    case '--help':
    case '-h':
      return readHelp(rest);
    default:
      throw unknownCommand(command);
  }
}

function readHelp([about, ...more]: readonly string[]): Arguments {
  if (about === undefined) return { command: 'help', text: USAGE };
  if (more.length > 0) throw new UsageError('help takes one command, as in pith help serve');
  if (about === 'client' || about === 'mock-backend') return { command: about, args: ['--help'] };
  if (about in HELP) return { command: 'help', text: HELP[about as HelpedCommand] };
  throw unknownCommand(about);
}

function unknownCommand(command: string): UsageError {
  if (command.startsWith('-'))
    return new UsageError(`expected a command before ${command}, as in pith serve\n\n${USAGE}`);
  const near = didYouMean(command, COMMANDS);
  return new UsageError(
    `unknown command ${command}${near === '' ? `\n\n${USAGE}` : `${near}\nsee pith help for the commands`}`,
  );
}

function readOwn(command: HelpedCommand, args: readonly string[]): Arguments {
  const isBare = command === 'version' || command === 'schema';
  const own = {
    ...(!isBare && CONFIG_OPTIONS),
    ...(command === 'serve' && SERVE_OPTIONS),
    ...(command === 'routes' && SESSION_OPTIONS),
    ...(command === 'health' && { ready: {} }),
  };
  const options = readOptions(args, own);
  if (options.wantsHelp) return { command: 'help', text: HELP[command] };
  const { positionals } = options;
  if (isBare) {
    if (positionals.length > 0) throw new UsageError(`${command} takes no arguments`);
    return { command };
  }
  if (command === 'health')
    return {
      command,
      config: readConfigChoice(options, positionals),
      path: options.has('ready') ? '/readyz' : '/livez',
    };
  if (command === 'serve') {
    const supervision = {
      readyFd: readyFdOf(options.text('ready-fd')),
      exitWithParent: options.has('exit-with-parent'),
    };
    return { command, config: readConfigChoice(options, positionals), supervision };
  }
  if (command === 'check') return { command, config: readConfigChoice(options, positionals) };
  const [route, ...more] = positionals;
  if (route === undefined)
    throw new UsageError('the route is missing; as in pith routes chat.room.join');
  if (more.length > 0) throw new UsageError(`expected one route, not ${positionals.join(' ')}`);
  const config = readConfigChoice(options, []);
  return { command, config, route, session: readSession(options) };
}

function readConfigChoice(options: Options, files: readonly string[]): ConfigChoice {
  if (files.length > 1) throw new UsageError(`expected one FILE, not ${files.join(' ')}`);
  const [file] = files;
  const flagged = options.text('config');
  if (file !== undefined && flagged !== undefined)
    throw new UsageError(`expected one FILE, not ${file} and --config ${flagged}`);
  const named = file ?? flagged;
  if (named === '') throw new UsageError('FILE is empty');
  return {
    file: named ?? DEFAULT_FILE,
    isNamed: named !== undefined,
    settings: readSettings(options.all('set')),
  };
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
