/** Versions of the program on disk, and a link to the one that is current: as an operator has them who upgrades in place. */
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ROOT } from './serve.ts';

/** A file of `src`, a text that it holds once, and what stands there instead. */
export type Edit = readonly [file: string, from: string, to: string];

export class Releases implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pith-releases-'));

  /** Of the current one, by the link. */
  readonly main = join(this.#folder, 'current/src/main.ts');

  /** Puts a version there, and makes it the current one. */
  install(version: string, edits: readonly Edit[] = []): void {
    const folder = join(this.#folder, version);
    cpSync(join(ROOT, 'src'), join(folder, 'src'), { recursive: true });
    cpSync(join(ROOT, 'proto'), join(folder, 'proto'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...own, version }));
    for (const [file, from, to] of edits) {
      const path = join(folder, 'src', file);
      const text = readFileSync(path, 'utf8');
      if (text.split(from).length !== 2) throw new Error(`${file} does not hold once: ${from}`);
      writeFileSync(
        path,
        text.replace(from, () => to),
      );
    }
    const link = join(this.#folder, 'next');
    symlinkSync(folder, link);
    renameSync(link, join(this.#folder, 'current'));
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
