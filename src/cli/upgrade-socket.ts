/**
 * How `pith upgrade` reaches a parent of workers on this machine: a Unix socket by its pid, in a folder that is its user's
 * alone. Lines of JSON: the command sends `{"upgrade":1}`, and gets `{"line":…}` as it goes on, and `{"done":…}` in the
 * end. It may leave earlier, and the upgrade goes on.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { inBackground } from '../background.ts';
import type { Upgraded } from '../workers/upgrade.ts';

/** Commands that are connected at a time. */
const COMMANDS_MAX = 8;
/** The longest line that a command may send. */
const LINE_MAX = 1_024;

export type UpgradeLine = { readonly line: string } | { readonly done: Upgraded };

export type MakeUpgrade = (tell: (line: string) => void) => Promise<Upgraded>;

/** @param temporary Of the process whose folder it is. */
export function folderFor(uid: number, temporary = tmpdir()): string {
  return join(temporary, `pith-${uid}`);
}

export function socketOf(pid: number, folder: string): string {
  return join(folder, `${pid}.sock`);
}

/** Pids of those that have a socket in this folder; they may be gone. */
export function pidsIn(folder: string): readonly number[] {
  try {
    return readdirSync(folder).flatMap((name) => /^([1-9][0-9]{0,9})\.sock$/.exec(name)?.[1] ?? []).map(Number); // prettier-ignore
  } catch {
    return [];
  }
}

/** Listens until the process ends. Rejects where it cannot. @param uid Of this process, whose pid is `pid`. */
export async function listenForUpgrade(
  { uid, pid }: { readonly uid: number; readonly pid: number },
  upgrade: MakeUpgrade,
): Promise<Disposable> {
  const folder = folderFor(uid);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid: owner, mode } = lstatSync(folder);
  if (owner !== uid || (mode & 0o170077) !== 0o040000)
    throw new Error(`${folder} is not a folder of this user alone`);
  const path = socketOf(pid, folder);
  rmSync(path, { force: true });
  const server = net.createServer((socket) => {
    take(socket, upgrade);
  });
  server.maxConnections = COMMANDS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.on('error', () => {});
  server.unref();
  chmodSync(path, 0o600);
  return {
    [Symbol.dispose]() {
      server.close();
      rmSync(path, { force: true });
    },
  };
}

function take(socket: Socket, upgrade: MakeUpgrade): void {
  let text = '';
  const say = (line: UpgradeLine): void => {
    if (socket.writable) socket.write(`${JSON.stringify(line)}\n`);
  };
  const onData = (bytes: Buffer): void => {
    text += bytes.toString();
    if (!text.includes('\n')) {
      if (text.length > LINE_MAX) socket.destroy();
      return;
    }
    socket.off('data', onData).resume();
    if (text.trim() !== '{"upgrade":1}') {
      socket.end();
      return;
    }
    const upgraded = upgrade((line) => {
      say({ line });
    });
    inBackground(
      upgraded.then((done) => {
        say({ done });
        socket.end();
      }),
      () => socket.destroy(),
    );
  };
  socket.on('error', () => {}).on('data', onData);
}
