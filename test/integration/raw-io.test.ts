/** Sockets that are read and written without their streams: what comes and goes is the same, in the same order. */
import net, { type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';

import { receiveRaw, sendRaw } from '../../src/transport/raw-io.ts';
import { rawHandleOf } from '../../src/transport/raw-handle.ts';

/** Two ends of one connection; the server's is as a port accepts it. */
async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = net.createServer({ highWaterMark: 1, allowHalfOpen: true });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const far = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const near = await accepted;
  for (const socket of [near, far]) socket.on('error', () => {});
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

/** Reads all of it that way. */
function read(socket: Socket): { chunks: Buffer[]; text: () => string } {
  const chunks: Buffer[] = [];
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
  };
  socket.on('data', onData);
  expect(receiveRaw(socket, onData)).toBe(true);
  return { chunks, text: () => Buffer.concat(chunks).toString('latin1') };
}

const writer = { rawWritten() {} };

test('every byte comes once, in order, and no chunk changes when the next is read', async () => {
  const { near, far } = await pair();
  const { text } = read(near);
  const pieces = Array.from({ length: 400 }, (_, i) =>
    `${i}:`.repeat(i % 40 === 0 ? 3_000 : (i % 50) + 1),
  );
  for (const piece of pieces) {
    far.write(piece, 'latin1');
    await new Promise(setImmediate);
  }
  await expect.poll(text).toBe(pieces.join(''));
});

test('what the stream has read before comes first', async () => {
  const { near, far } = await pair();
  far.write('first ');
  near.once('data', () => {
    near.pause();
  });
  await new Promise((resolve) => near.once('data', resolve));
  near.unshift(Buffer.from('first '));
  const { text } = read(near);
  far.write('second');
  await new Promise((resolve) => far.write('', resolve));
  near.resume();
  await expect.poll(text).toBe('first second');
});

test('nothing comes while it is paused, and its end comes after what was sent', async () => {
  const { near, far } = await pair();
  const { text, chunks } = read(near);
  let ended = '';
  near.on('end', () => {
    ended = text();
  });
  far.write('a');
  await expect.poll(text).toBe('a');
  near.pause();
  far.end('b');
  for (let i = 0; i < 50; i++) await new Promise(setImmediate);
  expect([text(), chunks.length]).toEqual(['a', 1]);
  near.resume();
  await expect.poll(() => ended).toBe('ab');
});

test('one that is paused already is not read from, however much comes', async () => {
  const { near, far } = await pair();
  far.write('first');
  await new Promise((resolve) => near.once('data', resolve));
  near.pause();
  const { text } = read(near);
  far.write(Buffer.alloc(32 * 1024 * 1024));
  for (let i = 0; i < 200; i++) await new Promise(setImmediate);
  expect([text(), near.bytesRead]).toEqual(['', 5]);
  expect(far.writableLength).toBeGreaterThan(0);
});

test('it may be destroyed by what it brings', async () => {
  const { near, far } = await pair();
  let calls = 0;
  receiveRaw(near, () => {
    calls++;
    near.destroy();
  });
  near.resume();
  const closed = new Promise((resolve) => near.once('close', resolve));
  far.write('x'.repeat(200_000));
  await closed;
  expect(calls).toBe(1);
});

test('a reset while it is read from is an error of the socket, and closes it', async () => {
  const { near, far } = await pair();
  const { text } = read(near);
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => near.once('error', resolve));
  const closed = new Promise<boolean>((resolve) => near.once('close', resolve));
  far.write('a');
  await expect.poll(text).toBe('a');
  far.resetAndDestroy();
  expect([(await failed).code, await closed, near.bytesRead]).toEqual(['ECONNRESET', true, 1]);
});

test('a write that the kernel takes needs nobody to be told', async () => {
  const { near, far } = await pair();
  let came = '';
  far.on('data', (chunk) => (came += chunk));
  expect(sendRaw(near, Buffer.from('one '), writer)).toBe('taken');
  expect(sendRaw(near, Buffer.from('two'), writer)).toBe('taken');
  await expect.poll(() => came).toBe('one two');
  expect(near.bytesWritten).toBe(7);
});

test('one that it takes in part is told of once all is taken, and what the stream writes meanwhile is behind it', async () => {
  const { near, far } = await pair();
  far.pause();
  const large = Buffer.alloc(16 * 1024 * 1024, 'x');
  let told = 0;
  const written = sendRaw(near, large, { rawWritten: () => told++ });
  expect([written, told]).toEqual(['pending', 0]);
  expect(rawHandleOf(near)!.writeQueueSize).toBeGreaterThan(0);
  near.write('END');
  expect(sendRaw(near, Buffer.from('overtaken'), writer)).toBe('unable');
  let bytes = 0;
  let last = '';
  far.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    last = (last + chunk.toString('latin1')).slice(-4);
  });
  far.resume();
  await expect.poll(() => bytes, { timeout: 20_000 }).toBe(large.length + 3);
  expect([told, last]).toEqual([1, 'xEND']);
});

test('of those that wait at the same time each is told of its own write', async () => {
  const pairs = [await pair(), await pair()];
  const told: number[] = [];
  for (const [i, { near, far }] of pairs.entries()) {
    far.pause();
    const rawWritten = (): void => void told.push(i);
    expect(sendRaw(near, Buffer.alloc(16 * 1024 * 1024), { rawWritten })).toBe('pending');
  }
  pairs[1]!.far.resume();
  await expect.poll(() => told, { timeout: 20_000 }).toEqual([1]);
  pairs[0]!.far.resume();
  await expect.poll(() => told, { timeout: 20_000 }).toEqual([1, 0]);
});

test('whoever waits for a write is told when the socket is destroyed', async () => {
  const { near, far } = await pair();
  far.pause();
  let told = 0;
  sendRaw(near, Buffer.alloc(16 * 1024 * 1024), { rawWritten: () => told++ });
  near.destroy();
  await expect.poll(() => told).toBe(1);
});

test('a write to a connection that the other side has reset destroys the socket with the error', async () => {
  const { near, far } = await pair();
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => near.once('error', resolve));
  far.resetAndDestroy();
  // Not read from, it hears of the reset by its own write.
  let written: string;
  do {
    written = sendRaw(near, Buffer.from('x'), writer);
    await new Promise(setImmediate);
  } while (written === 'taken' && !near.destroyed);
  expect((await failed).code).toMatch(/^(EPIPE|ECONNRESET)$/);
  expect((await failed).message).toMatch(/^write E/);
});
