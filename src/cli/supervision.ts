/** What a program that starts `pith serve` as its child asks of it. */
import { closeSync, fstatSync } from 'node:fs';

import { UsageError } from './options.ts';
import { writeAll } from './write-all.ts';

export type Supervision = {
  /** Where the line goes that says where the gateway listens; undefined: nowhere. */
  readonly readyFd: number | undefined;
  /** Drain once stdin has ended, as it does when the parent is gone. */
  readonly exitWithParent: boolean;
  /** It can be upgraded while clients stay, with one worker as well. */
  readonly upgradable: boolean;
};

/** stdin, stdout and stderr come first. */
const FIRST_FD = 3;
/** The lowest descriptors, among which are those that Node opens for itself at the start. */
const LOOKED_AT = 64;

/**
 * Checks that the parent has passed on what it asks for. Called before anything else opens descriptors.
 *
 * @throws {UsageError} For a descriptor that is not open or is one of Node's own, and for a stdin that cannot tell.
 */
export function checkSupervision({ readyFd, exitWithParent }: Supervision): void {
  if (readyFd !== undefined && !isPassedOn(readyFd))
    throw new UsageError(
      `--ready-fd ${readyFd}: the parent has not passed on a pipe, a socket or a file with this number`,
    );
  if (exitWithParent && !isPipe(0))
    throw new UsageError(
      '--exit-with-parent: stdin is neither a pipe nor a socket, so it does not end with the parent; give it a pipe, and keep the other end open',
    );
}

function isPassedOn(fd: number): boolean {
  const stats = statOf(fd);
  if (stats === null) return false;
  if (stats.isFile() || stats.isSocket()) return true;
  // Of the pipes inside Node this process has both ends.
  return stats.isFIFO() && !others(fd).some((other) => other.ino === stats.ino);
}

function isPipe(fd: number): boolean {
  const stats = statOf(fd);
  return stats !== null && (stats.isFIFO() || stats.isSocket());
}

function others(fd: number): NonNullable<ReturnType<typeof statOf>>[] {
  const numbers = Array.from({ length: LOOKED_AT }, (_, i) => FIRST_FD + i);
  return numbers.flatMap((one) => (one === fd ? [] : (statOf(one) ?? [])));
}

function statOf(fd: number): ReturnType<typeof fstatSync> | null {
  try {
    return fstatSync(fd);
  } catch {
    return null;
  }
}

/** @throws {UsageError} If `text` is not such a number. */
export function readyFdOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const fd = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (fd < FIRST_FD)
    throw new UsageError(
      `--ready-fd ${text}: expected a number from ${FIRST_FD} on; 0 to 2 are stdin, stdout and stderr`,
    );
  return fd;
}

/** Where the gateway listens, for its parent. Members are added, and none is removed or renamed. */
export type ReadyFacts = {
  readonly gateway: string;
  readonly version: string;
  readonly pid: number;
  /** URLs of the clients' listeners, in the order of `listen`, with real ports. */
  readonly clients: readonly string[];
  /** 0: a Unix socket. */
  readonly controlPort: number;
  readonly adminPort: number;
  /** URLs of /playground and /console, where they are on. */
  readonly pages: readonly string[];
  readonly healthPort: number;
  /** Why `/readyz` says no; empty: it says yes. */
  readonly notReady: readonly string[];
  /** With `workers` above 1: each gateway and its process; `gateway` is the first, and `pid` their parent. */
  readonly workers?: readonly { readonly gateway: string; readonly pid: number }[];
};

/** Writes one line, and closes the descriptor. @returns Whether somebody can read it. */
export function writeReady(fd: number, facts: ReadyFacts): boolean {
  const isWritten = writeAll(fd, `${JSON.stringify(facts)}\n`);
  closeSync(fd);
  return isWritten;
}
