/**
 * Bugs to be planted, one at a time, each a small change that a developer could make: what goes on without faults goes on
 * with it, and only an order of events shows it. `make simulate-planted` finds every one, or the simulation is not good
 * enough.
 */
import { BUS } from './planted-bugs/bus.ts';
import { DELTAS } from './planted-bugs/deltas.ts';
import { LINKS } from './planted-bugs/links.ts';
import { SESSIONS } from './planted-bugs/sessions.ts';

export type Planted = {
  readonly name: string;
  /** What goes wrong, in one sentence. */
  readonly why: string;
  /** From the top of the repository. */
  readonly file: string;
  /** Once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Tried first: few seeds bring the order of events that shows it. */
  readonly seed?: string;
};

export const PLANTED: readonly Planted[] = [...SESSIONS, ...BUS, ...LINKS, ...DELTAS];

/** The file's text with the bug. @throws {Error} when the text to be changed is not there exactly once. */
export function plant({ name, file, find, replace }: Planted, text: string): string {
  const parts = text.split(find);
  if (parts.length !== 2)
    throw new Error(
      `${name}: its text is ${parts.length - 1} times in ${file}; it must be there once`,
    );
  return parts.join(replace);
}
