/** Inputs that are kept: a few in test/fuzz/corpus, for everybody; all others in .cache/fuzz, for the next run here. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CORPUS = fileURLToPath(new URL('corpus/', import.meta.url));
export const CACHE = fileURLToPath(new URL('../../.cache/fuzz/', import.meta.url));
export const FINDINGS = join(CACHE, 'findings');

/** Inputs of one target in test/fuzz/corpus. */
export const CORPUS_FILES_MAX = 64;

/** The inputs in a folder, the shortest first; none if there is no such folder. */
export function readInputs(folder: string): Buffer[] {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names.map((name) => readFileSync(join(folder, name))).sort((a, b) => a.length - b.length);
}

/** Replaces what is in the folder. A file's name is the hash of what it holds. */
export function writeInputs(folder: string, inputs: readonly Buffer[]): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const input of inputs) writeFileSync(join(folder, nameOf(input)), input);
}

/** Where it was written. */
export function writeFinding(target: string, input: Buffer): string {
  mkdirSync(FINDINGS, { recursive: true });
  const path = join(FINDINGS, `${target}-${nameOf(input)}`);
  writeFileSync(path, input);
  return path;
}

function nameOf(input: Buffer): string {
  return createHash('sha256').update(input).digest('hex').slice(0, 16);
}
