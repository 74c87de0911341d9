/** What the players of a cluster noticed while something was done to it. */
import { expect } from 'vitest';

import { eventually } from '../support/wait.ts';
import type { Players } from './cluster.ts';
import type { Seen } from './players.ts';

export type Noticed = {
  readonly cuts: Seen['ends'];
  /** Codes of answers other than 200. */
  readonly others: string[];
  /** Why requests had no answer. */
  readonly unanswered: string[];
  readonly lost: number;
  /** Answers with 200. */
  readonly grown: number;
  /** Answers with 503. */
  readonly refused: number;
};

/** What the players noticed while `act` went on: where they were cut, and what was not answered with 200. */
export async function noticed(
  players: Players,
  count: number,
  act: () => void | Promise<void>,
): Promise<Noticed> {
  const before = players.seen();
  await act();
  const all = await eventually(
    () => {
      const seen = players.seen();
      return seen.connected === count && seen;
    },
    'all players',
    120_000,
  );
  const cuts = all.ends.slice(before.ends.length);
  const others = Object.keys(all.answers).filter(
    (code) => code !== '200' && all.answers[code] !== before.answers[code],
  );
  const grown = (all.answers['200'] ?? 0) - (before.answers['200'] ?? 0);
  const refused = (all.answers['503'] ?? 0) - (before.answers['503'] ?? 0);
  const unanswered = Object.keys(all.unanswered).filter(
    (reason) => all.unanswered[reason] !== before.unanswered[reason] && reason !== 'NOT_OPEN',
  );
  // A request may cross the gateway's close on its way: it never arrived, and the client knows that it was not sent on.
  const lost = (all.unanswered['LOST'] ?? 0) - (before.unanswered['LOST'] ?? 0);
  return { cuts, others, unanswered, lost, grown, refused };
}

/**
 * Every cut was the end of a pod that was replaced, and said so; nobody was cut twice by one pod. All requests were
 * answered, with 200 or, by a session that is about to be closed, with 503; but for one that crossed a close.
 */
export function expectOnlyDrains({ cuts, others, unanswered, lost }: Noticed): void {
  expect(['503', undefined]).toContain(others[0]);
  expect(others.length).toBeLessThanOrEqual(1);
  expect(['LOST', undefined]).toContain(unanswered[0]);
  expect(unanswered.length).toBeLessThanOrEqual(1);
  expect(lost).toBeLessThanOrEqual(cuts.length);
  for (const { reason } of cuts) expect(reason).toMatch(/draining/);
  const pairs = cuts.map(({ player, gateway }) => `${player} ${gateway}`);
  expect(new Set(pairs).size).toBe(pairs.length);
}
