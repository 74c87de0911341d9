/** Memberships that end by themselves: by the last join, and not after anything else has ended them. */
import { describe, expect, test } from 'vitest';

import type { Patch } from '../../../src/contract/commands.ts';
import { turn } from '../session/support.ts';
import { Exchange, makeGateway } from './support.ts';
import { ManualClock } from '../../support/clock.ts';

const G = 'g-0123456789';

function stage(groupTtlMs = 0) {
  const gateway = makeGateway(G, new Exchange(), new ManualClock(1_000), groupTtlMs);
  // Subscriptions wait for no confirmation then.
  gateway.connector.up = false;
  const { session } = gateway.client(1, 'ann');
  const apply = (patch: Patch) => gateway.sessionCommands.patch(session, patch);
  const groups = () => [...session.groups].sort().join(' ');
  /** Later, and one tick of the wheel. */
  const after = (ms: number) => {
    gateway.clock.advance(ms + 20);
    return groups();
  };
  return { ...gateway, session, apply, groups, after };
}

describe('a membership', () => {
  test('ends after its time, and that changes the session', () => {
    const { apply, after, session, registry, connector } = stage();
    apply({ join: ['a', 'b'], groupTtlMs: 1_000 });
    apply({ join: ['c'] });
    expect(after(900)).toBe('a b c');
    expect([session.version, connector.patterns.length]).toEqual([2, 4]);
    expect(after(100)).toBe('c');
    expect(session.version).toBe(4);
    expect(registry.byGroup('a').size).toBe(0);
    expect(connector.patterns).toEqual(['pith.user.ann.*', 'pith.group.c.*']);
    expect(after(1e9)).toBe('c');
  });

  test('is counted from the last join, which says how long it lasts', () => {
    const { apply, after, session } = stage();
    apply({ join: ['longer', 'shorter', 'forever'], groupTtlMs: 1_000 });
    expect(after(500)).toBe('forever longer shorter');
    apply({ join: ['longer'], groupTtlMs: 1_000 });
    apply({ join: ['shorter'], groupTtlMs: 100 });
    expect(apply({ join: ['forever'] })).toMatchObject({ changed: 0, version: 1 });
    expect(after(200)).toBe('forever longer');
    expect(after(500)).toBe('forever longer');
    expect(after(500)).toBe('forever');
    expect(session.groupEnds!.size).toBe(0);
  });

  test('that has ended otherwise ends nothing later', () => {
    const { apply, after, session } = stage();
    apply({ join: ['a', 'b'], groupTtlMs: 1_000 });
    apply({ leave: ['a'] });
    expect(session.groupEnds!.size).toBe(1);
    apply({ join: ['a'] });
    expect(after(2_000)).toBe('a');
    expect(session.groupEnds!.size).toBe(0);
  });

  test('keeps nothing of a session that has ended', () => {
    const { apply, session, wheel } = stage();
    const idle = wheel.size;
    apply({ join: ['a', 'b'], groupTtlMs: 1e9 });
    expect(wheel.size).toBe(idle + 2);
    session.close('client_closed');
    expect([session.groupEnds!.size, wheel.size < idle + 1]).toEqual([0, true]);
  });

  test('that could not begin has no end', () => {
    const { apply, session } = stage();
    apply({ join: Array.from({ length: 9 }, (_, i) => `g${i}`), groupTtlMs: 1_000 });
    expect(session.groupEnds).toBe(null);
  });
});

test('the token of a session is made anew when a membership ends at another time', () => {
  const { apply, session } = stage();
  let tokens = 0;
  const nothing = (): void => {};
  session.resuming = {
    ...{ resumedFrom: '', lineage: '', unbound: nothing, renew: nothing, grantedUntil: nothing },
    changed: () => {
      tokens++;
    },
  };
  const stale = (patch: Patch): boolean => {
    const before = tokens;
    apply(patch);
    return tokens > before;
  };
  expect(stale({ join: ['a'], groupTtlMs: 1_000 })).toBe(true);
  expect(stale({ join: ['a'], groupTtlMs: 2_000 })).toBe(true);
  expect(stale({ join: ['a'], groupTtlMs: 0 })).toBe(true);
});

describe('sessions.group_ttl', () => {
  test('is for joins that do not say', () => {
    const { apply, after } = stage(1_000);
    apply({ join: ['default'] });
    apply({ join: ['own'], groupTtlMs: 2_000 });
    apply({ join: ['forever'], groupTtlMs: 0 });
    expect(after(1_000)).toBe('forever own');
    expect(after(1_000)).toBe('forever');
    expect(after(1e9)).toBe('forever');
  });

  test('of 0 costs a session nothing', () => {
    const { apply, session } = stage();
    apply({ join: ['a'] });
    expect(session.groupEnds).toBe(null);
  });
});

test('Control says how long on every gateway', async () => {
  const exchange = new Exchange();
  const clock = new ManualClock(1_000);
  const [a, b] = ['a-0123456789', 'b-0123456789'].map((id) => makeGateway(id, exchange, clock));
  const { session } = b!.client(1, 'ann', 'there');
  exchange.deliver();
  const done = a!.fleet.changeGroups({
    ...{ verb: 'join', target: { uids: ['ann'] }, groups: ['there'], ttlMs: 1_500 },
  });
  exchange.deliver();
  await turn();
  exchange.deliver();
  clock.advance(250);
  expect(await done).toMatchObject({ gateways: 2 });
  clock.advance(1_200);
  expect([...session.groups]).toEqual(['there']);
  clock.advance(100);
  expect([...session.groups]).toEqual([]);
});
