/** What goes to nats-server, byte for byte. [docs.nats.io/reference/reference-protocols/nats-protocol] */
import { expect, test } from 'vitest';

import { HeaderBlock } from '../../../../src/upstream/nats/header-block.ts';
import { PublishBatch } from '../../../../src/upstream/nats/publish-batch.ts';

const HI = Buffer.from('hi');

test('is one message behind the other, in their order', () => {
  const batch = new PublishBatch();
  batch.add('a.b', HI, '', undefined, 100);
  batch.add('a.b', Buffer.alloc(0), '_INBOX.g.rpc.1', undefined, 100);
  batch.add('a.b', HI, '', new HeaderBlock('Pith-Sid: g.1\r\n'), 100);
  batch.add('a.b', HI, '_INBOX.g.rpc.2', new HeaderBlock('Pith-Sid: g.1\r\n'), 100);
  const expected =
    'PUB a.b 2\r\nhi\r\n' +
    'PUB a.b _INBOX.g.rpc.1 0\r\n\r\n' +
    'HPUB a.b 27 29\r\nNATS/1.0\r\nPith-Sid: g.1\r\n\r\nhi\r\n' +
    'HPUB a.b _INBOX.g.rpc.2 27 29\r\nNATS/1.0\r\nPith-Sid: g.1\r\n\r\nhi\r\n';
  expect(batch.bytes).toBe(expected.length);
  expect(batch.take().toString()).toBe(expected);
  expect(batch.bytes).toBe(0);
});

test('takes names and headers that are not ASCII', () => {
  const batch = new PublishBatch();
  batch.add('räume.大.😀', HI, '', undefined, 100);
  batch.add('a', HI, 'ä', { encode: () => Buffer.from('NATS/1.0\r\nX: ä\r\n\r\n') }, 100);
  expect(batch.take().toString()).toBe(
    'PUB räume.大.😀 2\r\nhi\r\nHPUB a ä 19 21\r\nNATS/1.0\r\nX: ä\r\n\r\nhi\r\n',
  );
});

test('keeps nothing of what it was given', () => {
  const batch = new PublishBatch();
  const payload = Buffer.from('one');
  batch.add('a', payload, '', undefined, 100);
  payload.fill('x');
  expect(batch.take().toString()).toBe('PUB a 3\r\none\r\n');
});

test.each([
  ['', '', 'no subject: ""'],
  ['a b', '', 'no subject: "a b"'],
  ['a\r\nPUB b 0', '', 'no subject: "a\\r\\nPUB b 0"'],
  ['a', 'r\ts', 'no subject: "r\\ts"'],
])('%j with the reply %j is refused, and what came before stays', (subject, reply, why) => {
  const batch = new PublishBatch();
  batch.add('a', HI, '', undefined, 100);
  expect(() => {
    batch.add(subject, HI, reply, undefined, 100);
  }).toThrow(why);
  expect(batch.take().toString()).toBe('PUB a 2\r\nhi\r\n');
});

test('more than the server takes is refused, headers included', () => {
  const batch = new PublishBatch();
  const headers = new HeaderBlock('A: b\r\n');
  batch.add('a', HI, '', headers, 20);
  expect(() => {
    batch.add('a', HI, '', headers, 19);
  }).toThrow('20 bytes; the server takes 19');
  expect(batch.take().toString()).toBe('HPUB a 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n');
});
