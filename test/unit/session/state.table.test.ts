/** What a packet does in each state of a session, in each dialect; and which state may follow which. */
import { expect, test } from 'vitest';

import { JsonDialect } from '../../../src/dialect/json.ts';
import { NanoDialect } from '../../../src/dialect/nano.ts';
import { PitayaDialect } from '../../../src/dialect/pitaya.ts';
import type { Dialect } from '../../../src/dialect/wire.ts';
import { actionFor, mayBecome, type State } from '../../../src/session/state.ts';
import { ManualClock } from '../../support/clock.ts';
import { POMELO } from './support.ts';

const HEARTBEAT_SECONDS = { heartbeatSeconds: 30, dictionary: null } as const;
const DIALECTS: readonly Dialect[] = [
  POMELO,
  new PitayaDialect({
    ...HEARTBEAT_SECONDS,
    serializer: 'json',
    compress: false,
    inflateBytesMax: 1_024,
  }),
  new NanoDialect({ ...HEARTBEAT_SECONDS, answerErrors: false, clock: new ManualClock(0) }),
  new JsonDialect(),
];

/** The types of packets, in the order of the columns: 1 to 5, and two that no client has. */
const TYPES = [1, 2, 3, 4, 5, 0, 6];

// [Pomelo connectors/common/handler.js; a Pomelo server closes for a kick from its client, Nano and Pitaya look
// at none. An ack in one segment with the handshake counts here.]
const ACTIONS: readonly string[] = `
                        handshake  ack       heartbeat  data     kick    0      6
 pomelo  opening        handshake  ignore    ignore     early    close   close  close
 pomelo  handshaking    ignore     activate  ignore     early    close   close  close
 pomelo  active         ignore     ignore    heartbeat  message  close   close  close
 pomelo  draining       ignore     ignore    heartbeat  message  close   close  close
 pomelo  closed         ignore     ignore    ignore     ignore   ignore  ignore ignore
 pitaya  opening        handshake  ignore    ignore     early    ignore  close  close
 pitaya  handshaking    ignore     activate  ignore     early    ignore  close  close
 pitaya  active         ignore     ignore    heartbeat  message  ignore  close  close
 pitaya  draining       ignore     ignore    heartbeat  message  ignore  close  close
 pitaya  closed         ignore     ignore    ignore     ignore   ignore  ignore ignore
 nano    opening        handshake  ignore    ignore     early    ignore  close  close
 nano    handshaking    ignore     activate  ignore     early    ignore  close  close
 nano    active         ignore     ignore    heartbeat  message  ignore  close  close
 nano    draining       ignore     ignore    heartbeat  message  ignore  close  close
 nano    closed         ignore     ignore    ignore     ignore   ignore  ignore ignore
 json    opening        handshake  ignore    ignore     early    close   close  close
 json    handshaking    ignore     activate  ignore     early    close   close  close
 json    active         handshake  ignore    heartbeat  message  close   close  close
 json    draining       ignore     ignore    heartbeat  message  close   close  close
 json    closed         ignore     ignore    ignore     ignore   ignore  ignore ignore
`
  .trim()
  .split('\n')
  .slice(1);

test.each(ACTIONS)('%s', (row) => {
  const [dialect, state, ...actions] = row.trim().split(/\s+/);
  const { traits } = DIALECTS.find(({ name }) => name === dialect)!;
  expect(TYPES.map((type) => actionFor(state as State, type, traits))).toEqual(actions);
});

/** A session goes forward only. */
const NEXT: readonly (readonly [State, readonly State[]])[] = [
  ['opening', ['handshaking', 'closed']],
  ['handshaking', ['active', 'closed']],
  ['active', ['draining', 'closed']],
  ['draining', ['closed']],
  ['closed', []],
];

test.each(NEXT)('after %s may come %j', (from, next) => {
  const states = NEXT.map(([state]) => state);
  expect(states.filter((to) => mayBecome(from, to))).toEqual(next);
});
