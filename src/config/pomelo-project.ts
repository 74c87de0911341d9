/** Reads what a Pomelo project says of its wire: dictionary.json, clientProtos.json and serverProtos.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { PomeloProtos } from '../dialect/pomelo.ts';
import { errorText } from '../errors.ts';
import { parseJsonText } from '../protocol/json-parse.ts';
import { type ProtosProblem, Protos, protosVersion } from '../protocol/protobuf/protos.ts';
import { RouteDictionary } from '../protocol/route-dictionary.ts';

/** Bytes of one of the files: far more than any game needs. */
const FILE_BYTES_MAX = 4 * 1_048_576;

export type PomeloProject = {
  /** null: there is no dictionary.json. */
  readonly dictionary: RouteDictionary | null;
  /** null: there are no protos. */
  readonly protos: PomeloProtos | null;
  /** What Pomelo passes over without a word, and its authors may have meant. */
  readonly warnings: readonly string[];
};

/** A project's files that cannot be used; every problem names its file. */
export class PomeloProjectError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'PomeloProjectError';
  }
}

/**
 * Reads the folder `config_dir`. A file in its folder `env` goes before the one beside it, as in Pomelo; a file
 * that is in neither is taken for empty.
 *
 * @throws {PomeloProjectError} with all that is wrong.
 */
export function readPomeloProject(configDir: string, env: string): PomeloProject {
  const problems: string[] = [];
  const warnings: string[] = [];
  const dictionary = readDictionary(
    readJson(configDir, env, 'dictionary.json', problems),
    problems,
  );
  const client = readProtos(
    readJson(configDir, env, 'clientProtos.json', problems),
    problems,
    warnings,
  );
  const server = readProtos(
    readJson(configDir, env, 'serverProtos.json', problems),
    problems,
    warnings,
  );
  if (dictionary === null && client === null && server === null && problems.length === 0) {
    problems.push(
      `${configDir}: there is no dictionary.json, clientProtos.json or serverProtos.json here` +
        (env === '' ? '' : ` or in ${env}/`),
    );
  }
  if (problems.length > 0) throw new PomeloProjectError(problems);
  return { dictionary, protos: pair(client, server), warnings };
}

type JsonFile = { readonly file: string; readonly value: unknown };

function readJson(dir: string, env: string, name: string, problems: string[]): JsonFile | null {
  for (const file of env === '' ? [join(dir, name)] : [join(dir, env, name), join(dir, name)]) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      problems.push(`${file}: cannot be read: ${errorText(error)}`);
      return null;
    }
    if (text.length > FILE_BYTES_MAX) {
      problems.push(`${file}: ${text.length} bytes; at most ${FILE_BYTES_MAX} are read`);
      return null;
    }
    try {
      return { file, value: parseJsonText(text.replace(/^\ufeff/, '')) };
    } catch (error) {
      problems.push(`${file}: is not JSON: ${errorText(error)}`);
      return null;
    }
  }
  return null;
}

/** A list of routes, which get the codes 1, 2, 3 … as Pomelo gives them, or routes with their codes. */
function readDictionary(json: JsonFile | null, problems: string[]): RouteDictionary | null {
  if (json === null) return null;
  const { file, value } = json;
  try {
    return new RouteDictionary(Array.isArray(value) ? numbered(value) : coded(value));
  } catch (error) {
    problems.push(`${file}: ${errorText(error)}`);
    return null;
  }
}

function numbered(routes: readonly unknown[]): Record<string, number> {
  const codes = Object.create(null) as Record<string, number>;
  let code = 0;
  for (const [i, route] of routes.entries()) {
    if (typeof route !== 'string' || route === '')
      throw new Error(`entry ${i} is not the name of a route`);
    // Pomelo counts on and keeps the later code of a route that stands twice.
    codes[route] = ++code;
  }
  return codes;
}

function coded(value: unknown): Record<string, number> {
  const isMap = typeof value === 'object' && value !== null;
  if (!isMap) throw new Error('expected a list of routes, as ["onChat","onLeave"]');
  return value as Record<string, number>;
}

function readProtos(json: JsonFile | null, problems: string[], warnings: string[]): Protos | null {
  if (json === null) return null;
  const protos = Protos.of(json.value);
  const say = ({ path, message }: ProtosProblem): string =>
    `${json.file}: ${path === '' ? '' : `${path}: `}${message}`;
  warnings.push(...protos.warnings.map(say));
  problems.push(...protos.problems.map(say));
  return protos;
}

function pair(client: Protos | null, server: Protos | null): PomeloProtos | null {
  if (client === null && server === null) return null;
  const protos = { client: client ?? Protos.of({}), server: server ?? Protos.of({}) };
  return { ...protos, version: protosVersion(protos.client, protos.server) };
}
