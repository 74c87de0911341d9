/** Every command, with its options: what is parsed, what `pith help` lists, and what shells complete. */
import { ADMIN_OPTIONS } from './admin-options.ts';
import type { OptionRules } from './options.ts';

export type Command = {
  /** What follows the name, as `pith help` shows it. */
  readonly takes: string;
  readonly does: string;
  /** Besides --help, which every command has. */
  readonly options: OptionRules;
  /** What the first positional argument is, for completion; absent: nothing that a shell could know. */
  readonly first?: 'file' | 'folder' | readonly string[];
};

const SETTINGS: OptionRules = { set: { value: 'KEY=VALUE', many: true } };
const CONFIG: OptionRules = {
  config: { value: 'FILE', short: 'c', completes: 'file' },
  live: { value: 'FILE', completes: 'file' },
  ...SETTINGS,
};
const JSON_OUT: OptionRules = { json: {} };

/** What `pith top` can go by. */
export const TOP_BY = ['outbox', 'outbox-age', 'round-trip', 'reconnects', 'silence'] as const;
export type TopBy = (typeof TOP_BY)[number];

export const BACKENDS = ['go-grpc', 'go-nats', 'python', 'java', 'typescript'] as const;
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export const DIALECTS = ['pomelo', 'pitaya', 'nano', 'json'] as const;

const TABLE = {
  dev: {
    takes: '',
    does: 'run a gateway with a demo behind it',
    options: {},
  },
  init: {
    takes: '[DIR]',
    does: 'write a configuration and a small backend to begin with',
    options: { backend: { value: 'KIND', choices: BACKENDS } },
    first: 'folder',
  },
  serve: {
    takes: '[FILE]',
    does: 'run the gateway',
    options: { ...CONFIG, 'ready-fd': { value: 'N' }, 'exit-with-parent': {}, upgradable: {} },
    first: 'file',
  },
  upgrade: {
    takes: '',
    does: 'let a new version take over, while all clients stay connected',
    options: { pid: { value: 'N' }, ...JSON_OUT },
  },
  check: {
    takes: '[FILE]',
    does: 'check a configuration without running it',
    options: { ...CONFIG, ...JSON_OUT },
    first: 'file',
  },
  routes: {
    takes: 'ROUTE',
    does: "show where a client's message would go, and why",
    options: {
      ...CONFIG,
      uid: { value: 'UID' },
      sid: { value: 'SID' },
      data: { value: 'JSON' },
      ...JSON_OUT,
    },
  },
  health: {
    takes: '[FILE]',
    does: 'ask the gateway on this machine how it is',
    options: { ...CONFIG, ready: {}, ...JSON_OUT },
    first: 'file',
  },
  why: {
    takes: 'SID|UID|REF',
    does: 'say why a request failed, or a session ended',
    options: { ...ADMIN_OPTIONS, log: { value: 'FILE', completes: 'file' }, ...JSON_OUT },
  },
  top: {
    takes: '',
    does: 'show the sessions that are worst off: slow, far away, or coming and going',
    options: {
      by: { value: 'MEASURE', choices: TOP_BY },
      count: { value: 'N' },
      ...ADMIN_OPTIONS,
      ...JSON_OUT,
    },
  },
  watch: {
    takes: '',
    does: 'show what clients send and get, as it happens',
    options: {
      uid: { value: 'UID', many: true },
      sid: { value: 'SID', many: true },
      route: { value: 'ROUTE' },
      bodies: {},
      'max-per-second': { value: 'N' },
      ...ADMIN_OPTIONS,
      ...JSON_OUT,
    },
  },
  profile: {
    takes: '[FILE]',
    does: "record where a gateway's process spends its time or memory",
    options: { heap: {}, seconds: { value: 'N' }, worker: { value: 'N' }, ...ADMIN_OPTIONS },
    first: 'file',
  },
  schema: {
    takes: '',
    does: 'print the JSON Schema of pith.yaml, for editors',
    options: {},
  },
  docs: {
    takes: '[DIR]',
    does: 'write the reference: configuration, commands, metrics, errors, Control, events',
    options: { check: {} },
    first: 'folder',
  },
  client: {
    takes: '[URL]',
    does: 'talk to a gateway as a Pomelo client',
    options: {
      request: { value: 'ROUTE' },
      data: { value: 'JSON' },
      user: { value: 'JSON' },
      dialect: { value: 'DIALECT', choices: DIALECTS },
      timeout: { value: 'DURATION' },
      'wait-pushes': { value: 'DURATION' },
      ca: { value: 'FILE', completes: 'file' },
      insecure: {},
    },
  },
  probe: {
    takes: '[URL]',
    does: 'connect as a player does, for monitoring',
    options: {
      request: { value: 'ROUTE' },
      data: { value: 'JSON' },
      user: { value: 'JSON' },
      'user-file': { value: 'FILE', completes: 'file' },
      dialect: { value: 'DIALECT', choices: DIALECTS },
      timeout: { value: 'DURATION' },
      ca: { value: 'FILE', completes: 'file' },
      insecure: {},
      ...JSON_OUT,
    },
  },
  'mock-backend': {
    takes: '',
    does: 'run a backend with canned answers',
    options: { listen: { value: 'ADDRESS' }, answers: { value: 'FILE', completes: 'file' } },
  },
  completion: {
    takes: 'SHELL',
    does: 'print what makes a shell complete all this',
    options: {},
    first: SHELLS,
  },
  version: {
    takes: '',
    does: 'print the version',
    options: JSON_OUT,
  },
} as const satisfies Record<string, Command>;

export type CommandName = keyof typeof TABLE;

export const COMMANDS: Readonly<Record<CommandName, Command>> = TABLE;
export const COMMAND_NAMES = Object.keys(TABLE) as readonly CommandName[];

export function isCommand(text: string): text is CommandName {
  return Object.hasOwn(TABLE, text);
}

/** One line for each command. */
export function listCommands(): string {
  const rows = [
    ...COMMAND_NAMES.map((name) => [`${name} ${COMMANDS[name].takes}`, COMMANDS[name].does]),
    ['help [COMMAND]', "print this, or what a command's --help prints"],
  ];
  const width = Math.max(...rows.map(([usage]) => usage!.trimEnd().length));
  return rows
    .map(([usage, does]) => `  pith ${usage!.trimEnd().padEnd(width)}  ${does}\n`)
    .join('');
}
