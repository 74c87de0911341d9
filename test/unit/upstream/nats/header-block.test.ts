/** The block of headers of a NATS message. What its headers say: test/unit/contract/headers.test.ts. */
import { describe, expect, test } from 'vitest';

import { decodeValue } from '../../../../src/contract/headers.ts';
import { linesOf, readBlock } from '../../../../src/upstream/nats/header-block.ts';
import { ShapeError } from '../../../../src/contract/json.ts';

test('pairs are written as lines', () => {
  expect(linesOf(['Pith-Sid', 'g.1', 'traceparent', '00-x'])).toBe(
    'Pith-Sid: g.1\r\ntraceparent: 00-x\r\n',
  );
});

describe('a block', () => {
  test.each<[string, string]>([
    ['256 lines', 'X: y\r\n'.repeat(256)],
    ['a line without a colon', 'nothing\r\nX: y\r\n'],
    ['a status', ' 503 No Responders\r\nX: y\r\n'],
    ['1 MiB', `X: ${'y'.repeat(1_048_576 - 17)}\r\n`],
  ])('may be %s', (_, lines) => {
    const text = lines.startsWith(' ') ? `NATS/1.0${lines}\r\n` : `NATS/1.0\r\n${lines}\r\n`;
    expect(readBlock(Buffer.from(text)).get('x')).toMatch(/^y/);
  });

  test.each<[string, string]>([
    ['257 lines', `NATS/1.0\r\n${'X: y\r\n'.repeat(257)}\r\n`],
    [
      '40,000 names',
      `NATS/1.0\r\n${Array.from({ length: 40_000 }, (_, i) => `X${i}: y\r\n`).join('')}\r\n`,
    ],
    ['more than 1 MiB', `NATS/1.0\r\nX: ${'y'.repeat(1_048_576)}\r\n\r\n`],
    ['another version', 'HTTP/1.1 200\r\n\r\n'],
    ['cut off', 'NATS/1.0\r\nX: y'],
    ['nothing', ''],
    ['a name with a space', 'NATS/1.0\r\nPith Bind: x\r\n\r\n'],
    ['a line break in a value', 'NATS/1.0\r\nX: a\nPith-Bind: x\r\n\r\n'],
  ])('may not be %s', (_, block) => {
    expect(() => readBlock(Buffer.from(block))).toThrow(ShapeError);
  });
});

describe('what is not UTF-8', () => {
  const uidOf = (line: Buffer): string | undefined =>
    readBlock(Buffer.concat([Buffer.from('NATS/1.0\r\n'), line, Buffer.from('\r\n\r\n')])).get(
      'pith-bind',
    );

  // Each of these was the same name once, and two players one.
  test.each([
    ['%FF', '%FF'],
    ['%FE', '%FE'],
    ['a%C3', 'a%C3'],
    ['%ED%A0%80', '%ED%A0%80'],
    ['%C3%A9', 'é'],
    ['%EF%BF%BD', '\ufffd'],
  ])('%s stands for %s', (written, uid) => {
    expect(decodeValue(written)).toBe(uid);
    expect(uidOf(Buffer.from(`Pith-Bind: ${written}`))).toBe(uid);
  });

  test.each([
    [Buffer.from([0xff]), 'ÿ'],
    [Buffer.from([0xfe]), 'þ'],
    [Buffer.from([0xe9]), 'é'],
    [Buffer.from('é'), 'é'],
  ])('and bytes that no percent sign stands before are read as latin1', (bytes, uid) => {
    expect(uidOf(Buffer.concat([Buffer.from('Pith-Bind: '), bytes]))).toBe(uid);
  });

  test('in one line changes no other', () => {
    const lines = Buffer.concat([
      Buffer.from('Nats-Service-Error: '),
      Buffer.from([0xe9]),
      Buffer.from('\r\nPith-Bind: 漢'),
    ]);
    expect(uidOf(lines)).toBe('漢');
  });
});
