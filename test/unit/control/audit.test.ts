/** What a line of the audit log shows of a request: names, numbers and keys, and neither bodies nor values. */
import { expect, test } from 'vitest';

import type { Caller } from '../../../src/control/access.ts';
import { Audit } from '../../../src/control/audit.ts';
import type { Request } from '../../../src/control/requests.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../support/clock.ts';
import { keptLog } from '../../support/report.ts';

const SECRET = 'hunter2';
const CALLER: Caller = {
  via: 'grpc',
  name: 'operations',
  address: '10.0.0.7:4711',
  role: 'write',
};

function lineOf(method: string, request: Request): unknown {
  const { log, lines } = keptLog();
  const audit = new Audit({ clock: new ManualClock(), log, metrics: new Metrics() });
  const call = audit.begin(method, CALLER);
  call.request = request;
  call.end('OK');
  expect(lines).toHaveLength(1);
  expect(JSON.stringify(lines)).not.toContain(SECRET);
  return lines[0]!['request'];
}

test.each([
  ['Call', { route: 'gm.give', uid: 'ann', data: { gm: SECRET }, body: Buffer.from(SECRET) }, { route: 'gm.give', uid: 'ann', data: ['gm'] }], // prettier-ignore
  ['SetData', { target: { uids: ['ann'] }, set: { token: SECRET } }, { target: { uids: ['ann'] }, set: ['token'] }], // prettier-ignore
  ['Kick', { target: { all: true, where: { token: SECRET } }, close: { reason: 'cheating', code: 7 } }, { target: { all: true, where: ['token'] }, reason: 'cheating' }], // prettier-ignore
] as const)('%s', (method, request, shown) => {
  expect(lineOf(method, request as unknown as Request)).toEqual(shown);
});

test('a push shows whom it is for and where it goes', () => {
  const push = { target: { groups: ['room.1'], where: { team: SECRET } }, route: 'onChat', body: Buffer.from(SECRET) }; // prettier-ignore
  expect(lineOf('Push', { push } as unknown as Request)).toEqual({
    route: 'onChat',
    target: { groups: ['room.1'], where: ['team'] },
  });
});
