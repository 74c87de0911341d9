/** How soon the gateway tries again when NATS is away. */
import { expect, test } from 'vitest';

import { NatsConnector } from '../../../../src/upstream/nats/nats-connector.ts';
import { NatsReport } from '../../../../src/upstream/nats/nats-report.ts';
import { Metrics } from '../../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../../support/clock.ts';
import { seededRandom } from '../../../support/random.ts';
import { keptLog } from '../../../support/report.ts';
import { turn } from '../../session/support.ts';

test.each([1, 2, 3, 4])(
  'a network that is back is noticed within half a second, however long it was away; seed %i',
  async (seed) => {
    const clock = new ManualClock();
    const attempts: number[] = [];
    const server = '127.0.0.1:4222';
    const none = {
      inboxPrefix: '_INBOX.g',
      creds: '',
      user: '',
      password: '',
      token: '',
      nkey: '',
    };
    const report = new NatsReport({
      ...{ clock, log: keptLog().log, metrics: new Metrics() },
      ...{ servers: [server], isNeeded: false },
    });
    const dial = (): Promise<never> => {
      attempts.push(clock.now());
      return Promise.reject(new Error('connection refused'));
    };
    const connector = new NatsConnector(
      { gatewayId: 'g', ...none, servers: [server], dial, clock, random: seededRandom(seed) },
      report,
    );
    connector.start();
    for (let ms = 0; ms < 60_000; ms += 10) {
      await turn();
      clock.advance(10);
    }
    const waits = attempts.slice(1).map((at, i) => at - attempts[i]!);
    // With the second between two signs of life and 6 s of a cut, less than the 7.5 s after which it would be lost.
    expect(Math.max(...waits)).toBeLessThan(500);
    // Nor does it try all the time.
    expect(attempts.length).toBeLessThan(300);
    await connector.drain();
  },
);
