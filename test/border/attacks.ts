/** Every attack, by its name. */
import type { Arena } from './arena.ts';
import { answerAttacks } from './attacks-answers.ts';
import { clientAttacks } from './attacks-clients.ts';

export type Attack = {
  /** What is sent. */
  readonly what: string;
  /** On which transport. */
  readonly over: string;
  /** The hostile backend whose carrier it may end; bystanders there may be told so. */
  readonly ends?: string;
  first?(arena: Arena): Promise<void>;
  /** Sends one case, and settles what becomes of it. */
  next(arena: Arena, n: number): Promise<void>;
  last?(arena: Arena): Promise<void>;
};

export const ATTACKS: readonly Attack[] = [...answerAttacks, ...clientAttacks];

export function nameOf({ what, over }: Attack): string {
  return `${what} · ${over}`;
}

export function attackOf(name: string): Attack {
  const found = ATTACKS.find((attack) => nameOf(attack) === name);
  if (found === undefined) throw new Error(`there is no attack ${name}`);
  return found;
}
