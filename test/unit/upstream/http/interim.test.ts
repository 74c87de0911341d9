/** Which bytes of an answer are changed so that an unasked 100 does no harm. */
import { describe, expect, test } from 'vitest';

import { InterimHeads } from '../../../../src/upstream/http/interim.ts';

/** What is left of `text` when it comes in pieces of `size` after a request. */
function through(text: string, size: number): string {
  const heads = new InterimHeads();
  heads.expect();
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += size) {
    const piece = Buffer.from(text.slice(at, at + size));
    heads.take(piece);
    pieces.push(piece.toString());
  }
  return pieces.join('');
}

const FINAL = 'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n';

describe.each([1, 2, 7, 4_096])('in pieces of %i bytes', (size) => {
  test.each([
    ['100', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 102 Continue\r\n\r\n'],
    ['100 without a reason', 'HTTP/1.1 100\r\n\r\n', 'HTTP/1.1 102\r\n\r\n'],
    [
      '100 with headers',
      'HTTP/1.1 100 Continue\r\nX: HTTP/1.1 100\r\nY: z\r\n\r\n',
      'HTTP/1.1 102 Continue\r\nX: HTTP/1.1 100\r\nY: z\r\n\r\n',
    ],
    ['100 of HTTP/1.0', 'HTTP/1.0 100 Go\r\n\r\n', 'HTTP/1.0 102 Go\r\n\r\n'],
    ['lines that end with LF', 'HTTP/1.1 100 Continue\n\n', 'HTTP/1.1 102 Continue\n\n'],
    ['an empty line before it', '\r\nHTTP/1.1 100 C\r\n\r\n', '\r\nHTTP/1.1 102 C\r\n\r\n'],
    ['102', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['103', 'HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n', 'HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n'],
    ['110', 'HTTP/1.1 110 X\r\n\r\n', 'HTTP/1.1 110 X\r\n\r\n'],
    [
      'several',
      'HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\nHTTP/1.1 100 C\r\n\r\n',
      'HTTP/1.1 102 C\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\nHTTP/1.1 102 C\r\n\r\n',
    ],
    ['none', '', ''],
  ])('%s; the answer and its body stay as they are', (_, interim, seen) => {
    expect(through(interim + FINAL, size)).toBe(seen + FINAL);
  });

  test.each(['HTTP/2 100 x\r\n', 'SSH-2.0-x\r\n', 'HTTP/1.1 1x0\r\n', '{"a":1}', '\0\0\0\u0004'])(
    'what is no HTTP/1 stays as it is: %j',
    (text) => {
      expect(through(text, size)).toBe(text);
    },
  );
});

test('nothing is changed before a request is sent, or after its answer has begun', () => {
  const heads = new InterimHeads();
  const take = (text: string): string => {
    const chunk = Buffer.from(text);
    heads.take(chunk);
    return chunk.toString();
  };
  const hundred = 'HTTP/1.1 100 Continue\r\n\r\n';
  expect(take(hundred)).toBe(hundred);
  heads.expect();
  expect(take('HTTP/1.1 204 No Content\r\n\r\n')).toBe('HTTP/1.1 204 No Content\r\n\r\n');
  expect(take(hundred)).toBe(hundred);
  heads.expect();
  expect(take(hundred)).toBe('HTTP/1.1 102 Continue\r\n\r\n');
});
