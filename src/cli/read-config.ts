/** Reads the configuration that a command line refers to, and checks it and the files that it refers to. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { inOrder, loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { fileErrorText } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { checkFiles, checkPath } from './check-files.ts';
import type { ConfigChoice } from './arguments.ts';

/** What it needs of the process. */
export type ConfigIo = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The current folder. */
  readonly folder: string;
};

export type ReadWell = {
  readonly config: Config;
  /** One line each. */
  readonly warnings: readonly string[];
  /** Files with keys of `auth.jwt`, and `blocks.file`, which may change like the configuration itself. */
  readonly watchedFiles: readonly string[];
  /** Nothing was configured: there is no file, no PITH_ variable and no --set. */
  readonly isEmpty: boolean;
  /** Which of the two files there are, and have something in them. */
  readonly written: readonly string[];
};

/** Or what is wrong, one line each. */
export type ReadConfig = ReadWell | { readonly problems: readonly string[] };

/** Reads and checks. Never rejects. */
export async function readConfig(choice: ConfigChoice, io: ConfigIo): Promise<ReadConfig> {
  const { file, isNamed, settings, live, known = [] } = choice;
  const warnings: string[] = [];
  let text = '';
  let liveText = '';
  try {
    text = readText(resolve(io.folder, file));
  } catch (error) {
    // Without a file the environment can be the whole configuration, as is common in containers.
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!isMissing || isNamed || known.includes(file))
      return { problems: [`${file}: cannot be read: ${fileErrorText(error)}`] };
    warnings.push(
      `there is no ${file} in ${io.folder}: PITH_ variables, --set and the defaults are the whole configuration`,
    );
  }
  try {
    if (live !== '') liveText = readText(resolve(io.folder, live));
  } catch (error) {
    return { problems: [`${live}: cannot be read: ${fileErrorText(error)}`] };
  }
  const written = [...(isBlank(text) ? [] : [file]), ...(isBlank(liveText) ? [] : [live])];
  const emptied = known.find((one) => !written.includes(one));
  // As after `>` into it, or on a full disk: nobody means that a gateway should forget its routes.
  if (emptied !== undefined)
    return {
      problems: [
        `${emptied}: is empty, and was not before; if it is meant to say nothing, write {}`,
      ],
    };
  const loaded = loadConfig({
    text,
    file,
    live: { text: liveText, file: live },
    env: io.env,
    flags: settings,
    folder: folderOf(file, io.folder),
    settingsFolder: io.folder,
    readFile: readText,
    checkPath,
  });
  if ('problems' in loaded) return { problems: loaded.problems.map(formatProblem) };
  const { config, keyFiles, place } = loaded;
  const found = await checkFiles(config);
  if (found.problems.length > 0)
    return { problems: inOrder(found.problems.map(place)).map(formatProblem) };
  const isEmpty = warnings.length > 0 && Object.keys(settings).length === 0 && !hasSettings(io.env);
  warnings.push(...[...loaded.warnings, ...found.warnings.map(place)].map(formatProblem));
  const { file: blocks } = config.blocks;
  const watchedFiles = blocks === '' ? keyFiles : [...keyFiles, blocks];
  return { config, warnings, watchedFiles, isEmpty, written };
}

/** @throws {Error} It cannot be read, or is no text: what is decoded wrongly would be another secret or name. */
function readText(path: string): string {
  const bytes = readFileSync(path);
  if (!isUtf8(bytes)) throw new Error('it is not UTF-8');
  return bytes.toString('utf8');
}

/** The same for a gateway that runs: warnings go to its log. */
export async function readAgain(
  choice: ConfigChoice,
  io: ConfigIo,
  log: Pick<Log, 'warn'>,
): Promise<ReadConfig> {
  const read = await readConfig(choice, io);
  if ('config' in read) for (const warning of read.warnings) log.warn({ warning }, 'configuration');
  return read;
}

function hasSettings(env: ConfigIo['env']): boolean {
  return Object.entries(env).some(([name, value]) => /^PITH_/i.test(name) && value);
}

function isBlank(text: string): boolean {
  return text.trim() === '';
}

/** The folder that relative paths in a file refer to. A pipe such as /dev/stdin has no folder of its own. */
function folderOf(file: string, current: string): string {
  if (file.startsWith('/dev/') || file.startsWith('/proc/')) return current;
  return dirname(resolve(current, file));
}
