import { expect, test } from 'vitest';

import { parseRef, refOf } from '../../src/ref.ts';

test.for([
  ['pith-a1B2c3D4.7', 12, 'pith-a1B2c3D4.7-12'],
  ['pith-a1B2c3D4.7', 0, 'pith-a1B2c3D4.7-0'],
  [
    'eu-west.pith-1-a1B2c3D4.9007199254740991',
    9007199254740991,
    'eu-west.pith-1-a1B2c3D4.9007199254740991-9007199254740991',
  ],
] as const)('message %2$s of session %1$s', ([sid, seq, text]) => {
  expect(refOf(sid, seq)).toBe(text);
  expect(parseRef(text)).toEqual({ sid, seq });
});

test.for([
  '',
  'ann',
  '42-7',
  'pith-a1B2c3D4.7',
  'pith-a1B2c3D4.7-',
  'pith-a1B2c3D4.7-07',
  'pith-a1B2c3D4.07-7',
  'pith-a1B2c3D4.0-7',
  'pith-a1B2c3D4.7-1.5',
  'pith-a1B2c3D4.7--1',
  'pith-a1B2c3D4.7-9007199254740992',
  ' pith-a1B2c3D4.7-1',
  'pith-a1B2c3D4.7-1\n',
])('%j is no ref', (text) => {
  expect(parseRef(text)).toBe(null);
});
