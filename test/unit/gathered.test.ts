import { describe, expect, test } from 'vitest';

import { Gathered } from '../../src/gathered.ts';

/** Pieces as sockets give them: views of what was read at once. */
function views(text: string, size: number, around = 0): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < text.length; at += size) {
    const piece = text.slice(at, at + size);
    const memory = new ArrayBuffer(piece.length + around);
    pieces.push(Buffer.from(memory, 0, piece.length));
    pieces.at(-1)!.write(piece);
  }
  return pieces;
}

const TEXT = Array.from({ length: 200_000 }, (_, i) => String.fromCharCode(97 + (i % 23))).join('');

describe.each([
  [1, 0],
  [1, 60],
  [3, 1_000],
  [700, 0],
  [65_536, 0],
  [70_000, 70_001],
])('pieces of %i bytes with %i more around them', (size, around) => {
  test('are given back as they came', () => {
    const gathered = new Gathered();
    for (const piece of views(TEXT, size, around)) gathered.add(piece);
    expect(gathered.bytes).toBe(200_000);
    expect(Buffer.concat(gathered.pieces()).toString() === TEXT).toBe(true);
    expect(gathered.all().toString() === TEXT).toBe(true);
    gathered.add(Buffer.from('more'));
    expect(gathered.all().toString() === `${TEXT}more`).toBe(true);
  });
});

test('keeps no more memory than twice what has come, but for the first piece', () => {
  const gathered = new Gathered();
  for (const piece of views(TEXT.slice(0, 2_000), 1, 65_536)) gathered.add(piece);
  const [first, ...rest] = gathered.pieces();
  expect(first!.buffer.byteLength).toBe(65_537);
  const kept = new Set(rest.map(({ buffer }) => buffer));
  expect([...kept].reduce((bytes, { byteLength }) => bytes + byteLength, 0)).toBeLessThan(4_096);
});

test('is few objects, however small the pieces are', () => {
  const gathered = new Gathered();
  for (const piece of views(TEXT, 1)) gathered.add(Buffer.from(piece));
  expect(gathered.pieces().length).toBeLessThan(20);
});

test('holds nothing after it was cleared', () => {
  const gathered = new Gathered();
  gathered.add(Buffer.from('abc'));
  gathered.add(Buffer.from('d'));
  gathered.clear();
  expect(gathered.bytes).toBe(0);
  expect(gathered.all()).toHaveLength(0);
  gathered.add(Buffer.from('e'));
  expect(gathered.all().toString()).toBe('e');
});
