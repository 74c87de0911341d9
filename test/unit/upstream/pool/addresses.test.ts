/** How the addresses of a name are kept up to date, and what a slow or fickle name server does. */
import { describe, expect, test } from 'vitest';

import { TimerWheel } from '../../../../src/timer-wheel.ts';
import { ADDRESSES_MAX, Addresses } from '../../../../src/upstream/pool/addresses.ts';
import { ManualClock } from '../../../support/clock.ts';
import { keptReport } from '../../../support/report.ts';

function stage() {
  const clock = new ManualClock();
  const lookups: ((addresses: readonly string[] | Error) => void)[] = [];
  const resolver = {
    changes: true,
    authority: 'chat:9000',
    resolve: () =>
      new Promise<readonly string[]>((resolve, reject) => {
        lookups.push((found) => {
          if (found instanceof Error) reject(found);
          else resolve(found);
        });
      }),
  };
  const { report, lines } = keptReport('chat', 'grpc', clock);
  const options = { url: 'dns:///chat:9000', resolver, wheel: new TimerWheel(clock), report };
  const names = new Addresses(options, (addresses) => void lines.push({ addresses }));
  /** Lines of the log, and addresses that were adopted. */
  const told = (): string[] =>
    lines.map(({ addresses, state, why }) =>
      Array.isArray(addresses) ? addresses.join(' ') : `${String(state)}: ${String(why)}`,
    );
  const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND chat'), {
    code: 'ENOTFOUND',
    hostname: 'chat',
  });
  return { clock, names, lookups, told, unknown };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a name', () => {
  test('is looked up one time at a time, however slow the name server is', async () => {
    const { clock, names, lookups, told } = stage();
    const first = names.look();
    names.soon();
    clock.advance(60_000);
    expect(names.look()).toBe(first);
    expect(lookups).toHaveLength(1);
    lookups[0]!(['a']);
    await first;
    clock.advance(15_020);
    expect(lookups).toHaveLength(2);
    expect(told()).toEqual(['a']);
  });

  test('that is unknown keeps its addresses, and is logged once', async () => {
    const { clock, names, lookups, told, unknown } = stage();
    const first = names.look();
    lookups[0]!(['a b']);
    await first;
    for (let n = 1; n <= 5; n++) {
      clock.advance(15_020);
      lookups[n]!(unknown);
      await settled();
    }
    const why = 'the name chat does not resolve: correct the address, or check the name server';
    expect(told()).toEqual(['a b', `unresolved: ${why}`]);
    clock.advance(15_020);
    lookups[6]!(['b']);
    await settled();
    expect(told().slice(2)).toEqual(['resolved: the name resolves again', 'b']);
  });

  test('is looked up within a second when an address is lost', async () => {
    const { clock, names, lookups } = stage();
    const first = names.look();
    lookups[0]!(['a']);
    await first;
    clock.advance(5_000);
    for (let n = 0; n < 100; n++) names.soon();
    clock.advance(1_020);
    expect(lookups).toHaveLength(2);
  });

  test('of too many addresses has only so many, and the log says it', async () => {
    const { names, lookups, told } = stage();
    const first = names.look();
    lookups[0]!(Array.from({ length: ADDRESSES_MAX + 5 }, (_, n) => String(n)));
    await first;
    expect(told()[0]).toBe('unresolved: 1005 addresses; 1000 are used');
    expect(told()[1]!.split(' ')).toHaveLength(1_000);
  });

  test('is not looked up any more once nobody wants it', async () => {
    const { clock, names, lookups, told } = stage();
    const first = names.look();
    names.stop();
    lookups[0]!(['a']);
    await first;
    clock.advance(60_000);
    expect(told()).toEqual([]);
    expect(lookups).toHaveLength(1);
    expect(clock.timerCount).toBe(0);
  });
});
