/** `pith docs`: writes the reference into a folder, or says which of its pages there are not up to date. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { fileErrorText } from '../errors.ts';
import { referencePages } from '../reference/pages.ts';
import { USAGE as CLIENT_HELP } from './client-settings.ts';
import { COMMAND_NAMES, type CommandName } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { HELP, type HelpedCommand } from './help.ts';
import type { Printed } from './inspect.ts';
import { USAGE as MOCK_BACKEND_HELP } from './mock-backend.ts';
import { USAGE as PROBE_HELP } from './probe.ts';
import { USAGE as PROFILE_HELP } from './profile.ts';
import { USAGE as WATCH_HELP } from './watch.ts';

/** What the commands that read their own arguments print. */
const OTHER_HELP: Readonly<Record<Exclude<CommandName, HelpedCommand>, string>> = {
  client: CLIENT_HELP,
  probe: PROBE_HELP,
  'mock-backend': MOCK_BACKEND_HELP,
  watch: WATCH_HELP,
  profile: PROFILE_HELP,
};

export type DocsChoice = {
  readonly folder: string;
  /** Writes nothing. */
  readonly isCheck: boolean;
};

/** @param here The current folder. */
export function writeDocs({ folder, isCheck }: DocsChoice, here: string): Printed {
  const help: Readonly<Record<CommandName, string>> = { ...HELP, ...OTHER_HELP };
  const pages = referencePages(COMMAND_NAMES.map((name) => ({ name, help: help[name] })));
  const files = Object.entries(pages).map(([name, text]) => ({
    path: join(resolve(here, folder), name),
    /** As the reader may name it. */
    shown: join(folder, name),
    text,
  }));
  if (isCheck) {
    const old = files.filter(({ path, text }) => contentOf(path) !== text);
    const err = old.map(({ shown }) => `${shown} is not up to date\n`).join('');
    return old.length > 0
      ? { code: EXIT.NO, out: '', err: `${err}pith docs ${folder} writes it\n` }
      : { code: EXIT.OK, out: `ok: ${files.length} pages are up to date\n`, err: '' };
  }
  try {
    mkdirSync(resolve(here, folder), { recursive: true });
    for (const { path, text } of files) writeFileSync(path, text);
  } catch (error) {
    const { path = folder } = error as NodeJS.ErrnoException;
    return { code: EXIT.CANNOT_CREATE, out: '', err: `pith: ${path}: ${fileErrorText(error)}\n` };
  }
  return { code: EXIT.OK, out: files.map(({ shown }) => `wrote ${shown}\n`).join(''), err: '' };
}

/** null: it cannot be read. */
function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
