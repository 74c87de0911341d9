/** `pith upgrade`: lets the version that is on disk now take over from the one that runs. */
import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { createInterface } from 'node:readline';

import { EXIT } from './exit-codes.ts';
import type { Upgraded } from '../workers/upgrade.ts';
import { folderFor, pidsIn, socketOf, type UpgradeLine } from './upgrade-socket.ts';

export type AskedUpgrade = {
  /** Of the parent; undefined: the only one there is. */
  readonly pid: number | undefined;
  readonly json: boolean;
};

export type UpgradeIo = {
  /** Whose gateways are looked for. */
  readonly uid: number;
  /** Writes to stdout, and to stderr. */
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
};

type Found = { readonly pid: number; readonly socket: Socket };

/** @returns The exit code. */
export async function runUpgrade({ pid, json }: AskedUpgrade, io: UpgradeIo): Promise<number> {
  const found = pid === undefined ? await findAll(io.uid) : await findOne(pid, io.uid);
  const [one, ...more] = found;
  if (one === undefined) return nothingFound(pid, io);
  if (more.length > 0) {
    for (const { socket } of found) socket.destroy();
    const pids = found.map((other) => other.pid).join(', ');
    io.complain(`pith: several gateways run here: give --pid, which is one of ${pids}\n`);
    return EXIT.USAGE;
  }
  if (!json) io.print(`upgrading the gateway of pid ${one.pid}\n`);
  one.socket.write('{"upgrade":1}\n');
  for await (const text of createInterface({ input: one.socket })) {
    const said = JSON.parse(text) as UpgradeLine;
    if ('line' in said) {
      if (!json) io.print(`${said.line}\n`);
      continue;
    }
    const { done } = said;
    one.socket.destroy();
    if (json) io.print(`${JSON.stringify(done)}\n`);
    if (done.why === '') {
      if (!json) io.print(`upgraded: ${done.workers.length} of ${done.workers.length} workers\n`);
      return EXIT.OK;
    }
    io.complain(`pith: not upgraded: ${done.why}; ${whatNow(done)}\n`);
    return EXIT.NO;
  }
  io.complain('pith: the gateway has ended before the upgrade had\n');
  return EXIT.NO;
}

function whatNow({ workers, isIntact }: Upgraded): string {
  if (!isIntact)
    return 'it has ended, its clients have lost their connections, and it is begun again';
  if (workers.length === 0) return 'nothing has changed';
  return `${workers.length} were upgraded before it, and the others serve as they did`;
}

function nothingFound(pid: number | undefined, io: UpgradeIo): number {
  const who = pid === undefined ? 'no gateway that can be upgraded runs here as this user' : `the process ${pid} cannot be reached, or is not the parent of workers`; // prettier-ignore
  io.complain(
    `pith: ${who}. It must have been started with workers above 1 or with --upgradable, and with the same TMPDIR. kill -USR2 PID asks for the same, and the outcome is in its log\n`,
  );
  return EXIT.UNAVAILABLE;
}

async function findAll(uid: number): Promise<Found[]> {
  const folder = folderFor(uid);
  const found = await Promise.all(pidsIn(folder).map((pid) => reach(pid, folder)));
  return found.filter((one) => one !== null);
}

/** It may be another user's, and have a /tmp of its own, as systemd gives. */
async function findOne(pid: number, uid: number): Promise<Found[]> {
  const owner = ownerOf(pid) ?? uid;
  for (const folder of [folderFor(owner), folderFor(owner, `/proc/${pid}/root/tmp`)]) {
    const found = await reach(pid, folder);
    if (found !== null) return [found];
  }
  return [];
}

function ownerOf(pid: number): number | null {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return null;
  }
}

/** null: it is gone, or nobody may. */
async function reach(pid: number, folder: string): Promise<Found | null> {
  const path = socketOf(pid, folder);
  const socket = net.connect(path);
  try {
    await once(socket, 'connect');
    return { pid, socket };
  } catch (error) {
    // What a process that was killed has left.
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') rmSync(path, { force: true });
    return null;
  }
}
