/** A gateway that `pith upgrade` can bring to another version, whose program is a copy of the tree with edits. */
import { run } from './process.ts';
import { type Edit, Releases } from './releases.ts';
import { type Served, serveOther } from './serve.ts';

export type Outcome = { readonly code: number | string; readonly output: string };

export type Upgradable = AsyncDisposable & {
  readonly releases: Releases;
  readonly served: Served;
  /** Puts another version on disk, and calls the command. */
  upgrade(edits?: readonly Edit[]): Promise<Outcome>;
};

/** One worker under a parent, all ready. */
export async function serveUpgradable(yaml: string): Promise<Upgradable> {
  const releases = new Releases();
  releases.install('1.0.0');
  const served = await serveOther(releases.main, yaml, '--upgradable');
  await served.logged('all workers are ready');
  let versions = 1;
  return {
    ...{ releases, served },
    upgrade(edits = []) {
      releases.install(`${++versions}.0.0`, edits);
      const args = [releases.main, 'upgrade', '--pid', String(served.running.pid)];
      return run(process.execPath, args, {});
    },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      releases[Symbol.dispose]();
    },
  };
}
