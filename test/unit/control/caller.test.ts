/** Who may call over HTTP: programs, and pages of the port itself; no page of another site. */
import { describe, expect, test } from 'vitest';

import { refusedCaller } from '../../../src/control/caller.ts';

describe('Host', () => {
  test.each([
    ...['127.0.0.1:7071', '127.0.0.1', '10.1.2.3:80', '[::1]:7071', '[::1]', '[fe80::1]:7071'],
    ...['localhost', 'localhost:7071', 'LOCALHOST:7071', '127.0.0.1:'],
  ])('%s may be asked', (host) => {
    expect(refusedCaller({ host })).toBeNull();
  });

  test.each([
    ...['evil.example', 'evil.example:7071', 'localhost.evil.example', 'x.localhost', 'localhost.'],
    ...['127.0.0.1.evil.example:7071', '127.1', '0x7f000001', '2130706433', '127.0.0.1:7071:1', ''],
    ...[
      '[127.0.0.1]',
      '[evil.example]',
      '[::1',
      '::1',
      '::1:7071',
      '127.0.0.1:http',
      'a@127.0.0.1',
    ],
    ...['localhost:7071/x', ' localhost', '[]'],
  ])('%j is refused', (host) => {
    expect(refusedCaller({ host })).toMatch(/^the header Host is ".*": use an address or localh/);
  });

  test('none is refused', () => {
    expect(refusedCaller({})).toMatch(/^the header Host is missing/);
  });
});

describe('Origin', () => {
  test.each(['127.0.0.1:7071', 'localhost:7071', '[::1]:7071', '127.0.0.1'])(
    'of %s itself may call',
    (host) => {
      expect(refusedCaller({ host, origin: `http://${host}` })).toBeNull();
    },
  );

  test.each([
    ...['https://evil.example', 'http://127.0.0.1:8080', 'http://127.0.0.1', 'null', ''],
    ...['http://localhost:7071', 'https://127.0.0.1:7071', 'http://127.0.0.1:7071.evil.example'],
    ...['http://127.0.0.1:7071/', 'http://a@127.0.0.1:7071', 'file://'],
  ])('%j is refused', (origin) => {
    expect(refusedCaller({ host: '127.0.0.1:7071', origin })).toMatch(/^the header Origin is "/);
  });

  test('does not help a name', () => {
    const host = 'evil.example:7071';
    expect(refusedCaller({ host, origin: `http://${host}` })).toMatch(/Host/);
  });
});

test('of a long header the beginning is said', () => {
  expect(refusedCaller({ host: 'x'.repeat(8_000) })!.length).toBeLessThan(200);
});
