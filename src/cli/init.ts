/** `pith init`: writes a configuration and a small backend from deploy/templates. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { fileErrorText } from '../errors.ts';
import type { Backend } from './arguments.ts';
import { BACKENDS } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import type { Printed } from './inspect.ts';
import { ownCommand } from './own-command.ts';

/** The same in the clone and in the package. */
const TOP = fileURLToPath(new URL('../../', import.meta.url));

type Template = {
  readonly speaks: string;
  /** Files and folders of this project, and where they go. */
  readonly parts: Readonly<Record<string, string>>;
  /** What it takes. */
  readonly needs: string;
  /** Starts the backend in its folder. */
  readonly start: string;
};

const ON_GRPC = { 'deploy/templates/on-grpc': '.' };
const PROTOS = ['backend', 'event', 'session'].map((name) => `pith/v1/${name}.proto`);

/** The contract's files that a backend needs. */
function protosInto(folder: string): Record<string, string> {
  return Object.fromEntries(PROTOS.map((file) => [`proto/${file}`, `${folder}/${file}`]));
}

const TEMPLATES: Readonly<Record<Backend, Template>> = {
  'go-grpc': {
    speaks: 'gRPC',
    parts: {
      ...ON_GRPC,
      'deploy/templates/go-grpc': '.',
      'deploy/examples/chat-grpc-go/gen': 'gen',
    },
    needs: 'Go 1.26',
    start: 'go run .',
  },
  'go-nats': {
    speaks: 'NATS',
    parts: { 'deploy/templates/on-nats': '.', 'deploy/templates/go-nats': '.' },
    needs: 'Go 1.26, and a nats-server that is running',
    start: 'go run .',
  },
  python: {
    speaks: 'gRPC',
    parts: { ...ON_GRPC, 'deploy/templates/python': '.', ...protosInto('proto') },
    needs: 'Python 3.9 or newer',
    start:
      'python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && .venv/bin/python main.py',
  },
  java: {
    speaks: 'gRPC',
    parts: { ...ON_GRPC, 'deploy/templates/java': '.', ...protosInto('src/main/proto') },
    needs: 'a JDK 17 or newer, and Maven',
    start: 'mvn -q compile exec:java',
  },
  typescript: {
    speaks: 'gRPC',
    parts: { ...ON_GRPC, 'deploy/templates/typescript': '.', ...protosInto('proto') },
    needs: 'Node 24',
    start: 'npm install && node main.ts',
  },
};

export type InitIo = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The current folder. */
  readonly folder: string;
};

/** Writes all files or none: a file that is there already refuses the whole. */
export function writeProject(
  asked: { readonly folder: string; readonly backend: Backend | undefined },
  io: InitIo,
): Printed {
  const { backend } = asked;
  if (backend === undefined) return refused(EXIT.USAGE, `${choices()}\nsee pith init --help\n`);
  const folder = resolve(io.folder, asked.folder);
  try {
    const files = filesOf(TEMPLATES[backend]);
    const taken = [...files.keys()].filter((name) => isThere(join(folder, name)));
    if (taken.length > 0) {
      const are = taken.length === 1 ? 'is' : 'are';
      const where = `in ${folder}: name another folder, as in pith init DIR`;
      return refused(EXIT.CANNOT_CREATE, `${taken.join(', ')} ${are} already there ${where}\n`);
    }
    for (const [name, content] of files) {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content, { flag: 'wx' });
    }
    return { code: EXIT.OK, out: nextSteps(backend, folder, files, io), err: '' };
  } catch (error) {
    const { path = folder } = error as NodeJS.ErrnoException;
    return refused(EXIT.CANNOT_CREATE, `${path}: ${fileErrorText(error)}\n`);
  }
}

function refused(code: number, text: string): Printed {
  return { code, out: '', err: `pith: ${text}` };
}

function choices(): string {
  const rows = BACKENDS.map((name) => {
    const { speaks, needs } = TEMPLATES[name];
    return `  --backend ${name.padEnd(12)} on ${speaks.padEnd(4)}  needs ${needs}`;
  });
  return `which backend? One of\n\n${rows.join('\n')}\n`;
}

/** Content by path in the new folder. */
function filesOf({ parts }: Template): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const [from, to] of Object.entries(parts)) {
    const source = join(TOP, from);
    const names = statSync(source).isDirectory()
      ? readdirSync(source, { recursive: true, encoding: 'utf8' })
      : [''];
    for (const name of names.toSorted()) {
      const path = join(source, name);
      if (statSync(path).isFile()) files.set(join(to, name), readFileSync(path));
    }
  }
  return files;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function nextSteps(
  backend: Backend,
  folder: string,
  files: ReadonlyMap<string, Buffer>,
  io: InitIo,
): string {
  const { speaks, needs, start } = TEMPLATES[backend];
  const pith = ownCommand(io.env);
  // npm run starts everything at the top of the clone.
  const near = pith.startsWith('npm run') ? folder : relative(io.folder, folder);
  const cd = near === '' ? '' : `cd ${quoted(near)} && `;
  const file = quoted(join(near, 'pith.yaml'));
  const own = [...files.keys()].filter((name) => !/^gen\/|proto\/pith\//.test(name));
  return `Written to ${folder}: ${own.join(', ')}

A backend on ${speaks}. It needs ${needs}. Start it, and the gateway in another terminal:

  ${cd}${start}
  ${pith} serve ${file}

Then send a request; the push comes before the answer:

  ${pith} client --request hello.world.greet --data '{"name":"ann"}'
`;
}

/** For a shell, if it needs that. */
function quoted(path: string): string {
  return /^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
