/**
 * `blocks.file`: one block a line, each a JSON object with `network`, `uid` or `client`, and maybe `reason` and `until`.
 * Empty lines, and those that begin with #, are left out. What else is in a line is ignored, so what ListBlocks prints
 * is such a file. All of it is read, or nothing.
 */
import { isUtf8 } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';

import { type Clock, nextTurn } from '../clock.ts';
import { errorText, fileErrorText } from '../errors.ts';
import { parseJsonText } from '../protocol/json-parse.ts';
import { isObject } from '../protocol/exact-json.ts';
import { BlockIndex } from './block-index.ts';
import { type Block, faultInReason, readBlocked, TIME_MAX } from './block.ts';

/** Blocks in a file, and its bytes. */
export const FILE_BLOCKS_MAX = 50_000;
export const FILE_BYTES_MAX = 8_388_608;
/** Rules for clients in it: each that is for a client's type is tried at its handshake. */
export const CLIENT_RULES_MAX = 1_000;
/** Characters of a line: a uid and a reason fit, however they are written. */
const LINE_CHARS_MAX = 8_192;
/** Lines that are read in one turn of the event loop. */
const LINES_PER_TURN = 500;
/** Faults that are named. */
const FAULTS_MAX = 20;

/** The blocks of a file that cannot be used. */
export class BlocksFileError extends Error {}

/**
 * @param file Its name; '': there is none, and no blocks.
 * @throws {BlocksFileError} One line for each fault, with the place.
 */
export async function readBlocksFile(file: string, clock: Clock): Promise<BlockIndex> {
  if (file === '') return new BlockIndex();
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > FILE_BYTES_MAX)
      throw new Error(`it has ${size} bytes; at most ${FILE_BYTES_MAX} are read`);
    const bytes = await readFile(file);
    // Otherwise it would block names that nobody has.
    if (!isUtf8(bytes)) throw new Error('it is not UTF-8');
    text = bytes.toString('utf8');
  } catch (error) {
    throw new BlocksFileError(`${file} cannot be read: ${fileErrorText(error)}`);
  }
  return readBlocks(text, file, clock);
}

/**
 * @param name Of the file, for messages.
 * @throws {BlocksFileError} One line for each fault, with the place.
 */
export async function readBlocks(text: string, name: string, clock: Clock): Promise<BlockIndex> {
  const blocks = new BlockIndex();
  const faults: string[] = [];
  let n = 0;
  for (const line of text.split('\n')) {
    n++;
    if (n % LINES_PER_TURN === 0) await nextTurn(clock);
    const block = readLine(line.trim());
    if (block === null) continue;
    if (typeof block === 'string') faults.push(`${name}:${n}: ${block}`);
    else blocks.add(block);
    const full = fullness(blocks);
    if (full !== '') faults.push(`${name}:${n}: ${full}`);
    if (faults.length >= FAULTS_MAX || full !== '') break;
  }
  if (faults.length > 0) throw new BlocksFileError(faults.join('\n'));
  return blocks;
}

function fullness(blocks: BlockIndex): string {
  if (blocks.size > FILE_BLOCKS_MAX) return `more than ${FILE_BLOCKS_MAX} blocks`;
  const isTooMany = blocks.sizeOf('client') > CLIENT_RULES_MAX;
  return isTooMany ? `more than ${CLIENT_RULES_MAX} blocks of clients` : '';
}

/** null: there is nothing in it. A text says what is wrong. */
function readLine(line: string): Block | string | null {
  if (line === '' || line.startsWith('#')) return null;
  if (line.length > LINE_CHARS_MAX) return `the line has more than ${LINE_CHARS_MAX} characters`;
  let fields: unknown;
  try {
    fields = parseJsonText(line);
  } catch (error) {
    return `not JSON, as {"network":"203.0.113.0/24"}: ${errorText(error)}`;
  }
  return isObject(fields) ? readFields(fields) : 'expected an object, as {"uid":"1234"}';
}

function readFields(fields: Record<string, unknown>): Block | string {
  const texts: Record<string, string> = {};
  // It would be a block without end.
  if ('expires_in' in fields || 'expiresIn' in fields)
    return 'expires_in: a line has until instead, as "until":"2026-12-31T00:00:00Z"';
  for (const name of ['network', 'uid', 'client', 'reason', 'until']) {
    const value = fields[name] ?? '';
    if (typeof value !== 'string') return `${name}: expected text, in quotes`;
    texts[name] = value;
  }
  const { reason = '', until = '' } = texts;
  const blocked = readBlocked(texts);
  if (typeof blocked === 'string') return blocked;
  const fault = faultInReason(reason);
  if (fault !== '') return fault;
  const time = until === '' ? 0 : timeOf(until);
  if (Number.isNaN(time)) return 'until: expected a time, as 2026-12-31T00:00:00Z';
  return { ...blocked, reason, until: time };
}

/** With its zone: without one it would be the machine's. [RFC 3339 5.6] */
function timeOf(text: string): number {
  const isWhole = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text);
  // 0 would be a block that does not end.
  return isWhole ? Math.min(TIME_MAX, Math.max(1, Date.parse(text))) : Number.NaN;
}
