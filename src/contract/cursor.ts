/**
 * The number of a push among those to its group, and of the last one that an answer has: `<epoch>.<n>`. Between two
 * epochs there is no order: a publisher that begins to count anew begins another one.
 */
import { ShapeError } from './json.ts';

export type Cursor = { readonly epoch: string; readonly n: number };

const CURSOR = /^([A-Za-z0-9_-]{1,64})\.(0|[1-9][0-9]{0,15})$/;
/** Characters that are shown of what is none. */
const SHOWN_MAX = 64;

/** @param name Of the field or header, for the error. @throws {ShapeError} */
export function readCursor(text: string, name: string): Cursor {
  const [, epoch = '', digits = ''] = CURSOR.exec(text) ?? [];
  const n = Number(digits);
  if (epoch !== '' && Number.isSafeInteger(n)) return { epoch, n };
  const shown = JSON.stringify(text.slice(0, SHOWN_MAX));
  throw new ShapeError(
    `${name} is ${shown}, not <epoch>.<n>: 1 to 64 of A-Z a-z 0-9 _ -, a dot, a whole number`,
  );
}

/** The same of a push, which counts from 1. @throws {ShapeError} */
export function readPushCursor(text: string, name: string): Cursor {
  const cursor = readCursor(text, name);
  if (cursor.n === 0) throw new ShapeError(`${name} is ${cursorText(cursor)}: pushes count from 1`);
  return cursor;
}

export function cursorText({ epoch, n }: Cursor): string {
  return `${epoch}.${n}`;
}
