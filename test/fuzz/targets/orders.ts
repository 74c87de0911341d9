/** Block entries, as operators, files and other gateways write them, and what gateways tell each other about orders. */
import {
  bucketsText,
  entryRow,
  readBuckets,
  readEntries,
  readSums,
  sumsText,
} from '../../../src/bus/order-words.ts';
import { blockedOf, keyOf, readBlocked } from '../../../src/orders/block.ts';
import { BlockIndex } from '../../../src/orders/block-index.ts';
import { BlocksFileError, readBlocks } from '../../../src/orders/blocks-file.ts';
import { pauseJson, readPause } from '../../../src/orders/pause-json.ts';
import { isObject } from '../../../src/protocol/exact-json.ts';
import { ManualClock } from '../../support/clock.ts';
import { anyJson } from '../fresh.ts';
import { check, same, type Target } from '../target.ts';

const blocks: Target = {
  name: 'block',
  drives: ['orders/block.ts readBlocked', 'orders/block-index.ts BlockIndex'],
  forms: ['text'],
  seeds: [
    ...['203.0.113.7/24', '::ffff:10.0.0.1/100', '2001:db8::/32', '::/0', '0.0.0.0/0', 'fe80::1%1'],
    ...['unity-socket >=0.3.0 <1', 'js', ' x  = 1.2 ', 'a >=', '10042', '', '::1.2.3.4'],
  ],
  run(input) {
    const text = input.toString();
    for (const kind of ['network', 'uid', 'client']) {
      const blocked = readBlocked({ [kind]: text });
      if (typeof blocked === 'string') continue;
      same(blocked.kind, kind, 'it is what it was written as');
      same(blockedOf(keyOf(blocked)), blocked, 'the same twice');
      const index = new BlockIndex();
      index.add({ ...blocked, reason: '', until: 0 });
      const own = {
        network: { remoteIp: blocked.value.replace(/\/.*$/, ''), uid: '', type: '' },
        uid: { remoteIp: '', uid: blocked.value, type: '' },
        client: { remoteIp: '', uid: '', type: '' },
      }[blocked.kind];
      const facts = { ...own, clientType: '', clientVersion: '' };
      if (kind !== 'client')
        check(index.find(facts, () => true) !== null, 'it blocks what it names', blocked);
      index.remove(keyOf(blocked));
      same(index.size, 0, 'nothing is left of it');
    }
  },
};

const clock = new ManualClock();

const files: Target = {
  name: 'blocks-file',
  drives: ['orders/blocks-file.ts readBlocks'],
  forms: ['lines', 'text', 'json'],
  seeds: [
    '{"network":"10.0.0.0/8","reason":"x","until":"2026-12-01T00:00:00Z"}\n# no\n\n{"uid":"7"}',
    '{"client":"js <1","source":"control"}\n{"uid":null}\n[]',
    '{"\\\\":1,"uid":"1"}\n{"uid":"1","until":"2026-12-01"}',
  ],
  isAsync: true,
  async run(input) {
    try {
      const read = await readBlocks(input.toString(), 'f', clock);
      const lines = read.all().map(({ kind, value, reason, until }) => {
        const time = until === 0 ? '' : new Date(until).toISOString();
        return JSON.stringify({ [kind]: value, reason, until: time });
      });
      const again = await readBlocks(lines.join('\n'), 'f', clock);
      same(again.all(), read.all(), 'the same twice');
    } catch (error) {
      if (!(error instanceof BlocksFileError)) throw error;
      for (const line of error.message.split('\n'))
        check(/^f:\d+: ./.test(line), 'a fault has its line', line);
    }
  },
};

const words: Target = {
  name: 'order-words',
  drives: [
    'bus/order-words.ts readEntries',
    'bus/order-words.ts readSums',
    'bus/order-words.ts readBuckets',
    'orders/pause-json.ts readPause',
  ],
  forms: ['json'],
  seeds: [
    '[{"key":"uid:7","at":5,"by":"g-0123456789","until":9,"value":{"reason":"x"}}]',
    '[{"key":"uid:7","at":5,"by":"g-0123456789"},null,7]',
    `"${Buffer.alloc(1_024, 3).toString('base64url')}"`,
    `"${Buffer.alloc(32, 5).toString('base64url')}"`,
    '{"routes":["a.>"],"allow_uids":["7"],"message":"m","handshake_code":503}',
  ],
  fresh: anyJson(),
  run(input) {
    let json: unknown;
    try {
      json = JSON.parse(input.toString());
    } catch {
      return;
    }
    const entries = readEntries(json);
    same(readEntries(entries.map(entryRow)), entries, 'entries are the same twice');
    const sums = readSums(json);
    if (sums !== null) same(readSums(sumsText(sums)), sums, 'sums are the same twice');
    const buckets = readBuckets(json);
    same(readBuckets(bucketsText(buckets)), buckets, 'buckets are the same twice');
    const pause = isObject(json) ? readPause(json as never) : null;
    if (pause !== null) same(readPause(pauseJson(pause)), pause, 'a pause is the same twice');
  },
};

export const targets: readonly Target[] = [blocks, files, words];
