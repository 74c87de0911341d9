/** Every attack, by its name. */
import type { Kind } from './config.ts';
import type { Arena } from './arena.ts';
import { answerAttacks } from './attacks-answers.ts';
import { clientAttacks } from './attacks-clients.ts';
import { configAttacks } from './attacks-config.ts';
import { connectAttacks } from './attacks-connect.ts';
import { controlAttacks } from './attacks-control.ts';
import { dialAttacks } from './attacks-dial.ts';
import { nameAttacks } from './attacks-names.ts';
import { natsAttacks } from './attacks-nats.ts';
import { ownAttacks } from './attacks-own.ts';
import { portAttacks } from './attacks-ports.ts';

export type Attack = {
  /** What is sent. */
  readonly what: string;
  /** On which transport. */
  readonly over: string;
  /** The hostile backend whose carrier it may end; bystanders there may be told so. */
  readonly ends?: string;
  /** Another gateway is on the bus, which asks this backend at each handshake. */
  readonly door?: Kind;
  /** The same, whatever it asks. */
  readonly fleet?: boolean;
  first?(arena: Arena): Promise<void>;
  /** Sends one case, and settles what becomes of it. */
  next(arena: Arena, n: number): Promise<void>;
  last?(arena: Arena): Promise<void>;
};

export const ATTACKS: readonly Attack[] = [
  ...answerAttacks,
  ...ownAttacks,
  ...dialAttacks,
  ...natsAttacks,
  ...connectAttacks,
  ...nameAttacks,
  ...controlAttacks,
  ...portAttacks,
  ...configAttacks,
  ...clientAttacks,
];

export function nameOf({ what, over }: Attack): string {
  return `${what} · ${over}`;
}

export function attackOf(name: string): Attack {
  const found = ATTACKS.find((attack) => nameOf(attack) === name);
  if (found === undefined) throw new Error(`there is no attack ${name}`);
  return found;
}
