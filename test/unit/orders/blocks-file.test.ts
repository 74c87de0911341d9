/** `blocks.file`: what a line may hold, what is wrong with it, and how much there may be. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { keyOf } from '../../../src/orders/block.ts';
import {
  BlocksFileError,
  CLIENT_RULES_MAX,
  FILE_BLOCKS_MAX,
  readBlocks,
  readBlocksFile,
} from '../../../src/orders/blocks-file.ts';
import { ManualClock } from '../../support/clock.ts';

const clock = new ManualClock();
const read = (text: string) => readBlocks(text, 'b.jsonl', clock);
const faults = (text: string): Promise<string> =>
  read(text).then(
    () => '',
    (error: unknown) => (error as BlocksFileError).message,
  );

test('lines of JSON, with comments, empty lines and fields that it does not know', async () => {
  const blocks = await read(
    [
      '# scrapers',
      '{"network":"203.0.113.7/24","reason":"scraping","until":"2026-12-01T00:00:00+01:00"}',
      '',
      '  {"uid":"10042", "note": {"by": "ann"}}\r',
      '{"network":"","uid":"","client":"js <0.0.3","reason":"","until":null,"source":"control","next_page_token":""}',
    ].join('\n'),
  );
  expect(blocks.all().map((block) => [keyOf(block), block.reason, block.until])).toEqual([
    ['client:js <0.0.3', '', 0],
    ['network:203.0.113.0/24', 'scraping', Date.UTC(2026, 10, 30, 23)],
    ['uid:10042', '', 0],
  ]);
  expect((await read('')).size).toBe(0);
  expect((await readBlocksFile('', clock)).size).toBe(0);
});

test('a time is never that of a block without end, nor one that no answer can tell', async () => {
  const untils = ['1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59-12:00'];
  const blocks = await read(
    untils.map((until, i) => `{"uid":"${i}","until":"${until}"}`).join('\n'),
  );
  expect(blocks.all().map(({ until }) => until)).toEqual([1, 1, 253_402_300_799_999]);
});

test.each([
  ['network 10.0.0.0/8', /^b\.jsonl:1: not JSON, as \{"network":/],
  ['[]', 'b.jsonl:1: expected an object, as {"uid":"1234"}'],
  ['{}', 'b.jsonl:1: expected one of network, uid and client'],
  ['\n{"uid":10042}', 'b.jsonl:2: uid: expected text, in quotes'],
  ['{"uid":"1","until":"tomorrow"}', 'b.jsonl:1: until: expected a time, as 2026-12-31T00:00:00Z'],
  [
    '{"uid":"1","expires_in":"60s"}',
    'b.jsonl:1: expires_in: a line has until instead, as "until":"2026-12-31T00:00:00Z"',
  ],
  ['{"uid":"1","until":"2026-12-01T00:00:00"}', /until: expected a time/],
  ['{"uid":"1","until":"2026-13-01T00:00:00Z"}', /until: expected a time/],
  [`{"uid":"1","reason":"${'x'.repeat(257)}"}`, 'b.jsonl:1: reason: longer than 256 characters'],
  [`{"uid":"1"${' '.repeat(8_192)}}`, 'b.jsonl:1: the line has more than 8192 characters'],
])('%j is refused', async (text, why) => {
  expect(await faults(text)).toEqual(expect.stringMatching(why));
});

test('all that is wrong is named, up to 20 lines', async () => {
  const named = (await faults('{}\n{"uid":"1"}\n'.repeat(30))).split('\n');
  expect(named).toHaveLength(20);
  expect(named[1]).toBe('b.jsonl:3: expected one of network, uid and client');
});

test('no more than it may hold', async () => {
  const uids = (n: number): string =>
    Array.from({ length: n }, (_, i) => `{"uid":"${i}"}`).join('\n');
  expect((await read(uids(FILE_BLOCKS_MAX))).size).toBe(50_000);
  expect(await faults(uids(FILE_BLOCKS_MAX + 1))).toBe('b.jsonl:50001: more than 50000 blocks');
  const clients = Array.from({ length: CLIENT_RULES_MAX + 1 }, (_, i) => `{"client":"c${i}"}`);
  expect(await faults(clients.join('\n'))).toBe('b.jsonl:1001: more than 1000 blocks of clients');
});

test('a file that is not there, or is none, is named', async () => {
  await expect(readBlocksFile('/nowhere/b.jsonl', clock)).rejects.toThrow(
    '/nowhere/b.jsonl cannot be read: no such file or folder',
  );
  await expect(readBlocksFile('/', clock)).rejects.toThrow('/ cannot be read: it is a folder');
});

test.each([
  ['latin1', Buffer.from('{"uid":"zo\xeb"}\n', 'latin1')],
  ['UTF-16', Buffer.from('\ufeff{"uid":"1"}\n', 'utf16le')],
])('a file in %s is refused', async (_, bytes) => {
  const folder = mkdtempSync(join(tmpdir(), 'pith-blocks-'));
  const file = join(folder, 'b.jsonl');
  writeFileSync(file, bytes);
  const why = `${file} cannot be read: it is not UTF-8`;
  await expect(readBlocksFile(file, clock)).rejects.toThrow(why);
  rmSync(folder, { recursive: true });
});
