/** What each dialect does beside the bodies, and what each profile of Pomelo clients can read. */
import { describe, expect, test } from 'vitest';

import { PROFILES, type ProfileName } from '../../../src/dialect/client-profile.ts';
import { JsonDialect } from '../../../src/dialect/json.ts';
import { NanoDialect } from '../../../src/dialect/nano.ts';
import { PitayaDialect } from '../../../src/dialect/pitaya.ts';
import type { Dialect, DialectName, DialectTraits } from '../../../src/dialect/wire.ts';
import { PacketType, packetOffset } from '../../../src/protocol/packet.ts';
import { ManualClock } from '../../support/clock.ts';
import { POMELO } from '../session/support.ts';

const OPTIONS = { heartbeatSeconds: 30, dictionary: null } as const;
const PITAYA = { serializer: 'json', compress: false, inflateBytesMax: 1_024 } as const;
const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  pomelo: POMELO,
  pitaya: new PitayaDialect({ ...OPTIONS, ...PITAYA }),
  nano: new NanoDialect({ ...OPTIONS, answerErrors: false, clock: new ManualClock(0) }),
  json: new JsonDialect(),
};

test('the types of packets', () => {
  expect(PacketType).toEqual({ HANDSHAKE: 1, HANDSHAKE_ACK: 2, HEARTBEAT: 3, DATA: 4, KICK: 5 });
});

type Row = readonly [
  DialectName,
  DialectTraits['framing'],
  DialectTraits['earlyData'],
  DialectTraits['malformed'],
  DialectTraits['heartbeat'],
  activeAtOnce: boolean,
  packetBytesMax: number,
];

// oxfmt-ignore
const MANNERS: readonly Row[] = [
  //         framing    earlyData malformed heartbeat activeAtOnce
  ['pomelo', 'packets', 'ignore', 'drop',   'answer', false, Infinity],
  ['pitaya', 'packets', 'close',  'close',  'tick',   false, Infinity],
  ['nano',   'packets', 'close',  'close',  'tick',   false, 65_536],
  ['json',   'text',    'ignore', 'drop',   'ping',   true,  Infinity],
];

test.each(MANNERS)('%s: %s, early data: %s, malformed: %s, heartbeat: %s', (name, ...row) => {
  const { traits, packetBytesMax } = DIALECTS[name];
  const { framing, earlyData, malformed, heartbeat, activeAtOnce } = traits;
  expect([framing, earlyData, malformed, heartbeat, activeAtOnce, packetBytesMax]).toEqual(row);
});

/** The text of a packet, or of a WebSocket message. */
function textOf(name: DialectName, encoded: Buffer | null): string | null {
  if (encoded === null) return null;
  return encoded.subarray(packetOffset(encoded) + (name === 'json' ? 0 : 4)).toString();
}

const HEARD = '"sys":{"heartbeat":30,"serializer":"json"}';

describe('a client that is not let in', () => {
  // oxfmt-ignore
  test.each<readonly [DialectName, code500: string | null, code501: string | null, code503: string | null]>([
    ['pomelo', '{"code":500}',                '{"code":501}',                '{"code":503}'],
    ['pitaya', `{"code":400,${HEARD}}`,       `{"code":400,${HEARD}}`,       `{"code":503,${HEARD}}`],
    ['nano',   null,                          null,                          null],
    ['json',   '{"handshake":{"code":500}}',  '{"handshake":{"code":501}}',  '{"handshake":{"code":503}}'],
  ])('in %s: %s', (name, ...texts) => {
    const codes = [500, 501, 503] as const;
    expect(codes.map((code) => textOf(name, DIALECTS[name].refuse(code)))).toEqual(texts);
  });
});

describe('a kick', () => {
  test.each<readonly [DialectName, text: string | null]>([
    ['pomelo', '{"reason":"bye"}'],
    ['pitaya', ''],
    ['nano', null],
    ['json', '{"kick":{"reason":"bye"}}'],
  ])('in %s: %s', (name, text) => {
    expect(textOf(name, DIALECTS[name].kick({ reason: 'bye' }))).toBe(text);
  });
});

// oxfmt-ignore
const PROFILE_ROWS: readonly (readonly [ProfileName, boolean, boolean, string, number])[] = [
  //              protobuf answers strings  codeMax
  ['pomelo',      true,    true,   'utf8',  65_535],
  ['browser',     true,    true,   'cesu8', 65_535],
  ['plain',       false,   false,  'utf8',  0],
  ['libpomelo',   true,    true,   'utf8',  255],
  ['libpomelo2',  true,    false,  'utf8',  65_535],
];

test('the profiles of Pomelo clients', () => {
  const rows = Object.entries(PROFILES).map(([name, profile]) => {
    const { protobuf, protobufAnswers, strings, codeMax } = profile;
    return [name, protobuf, protobufAnswers, strings, codeMax];
  });
  expect(rows).toEqual(PROFILE_ROWS);
});
