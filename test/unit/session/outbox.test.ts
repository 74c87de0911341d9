import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { encodePush } from '../../../src/protocol/message.ts';
import { Outbox, type Perishable } from '../../../src/session/outbox.ts';
import { OutboxQueue } from '../../../src/session/outbox-queue.ts';
import { Outboxes } from '../../../src/session/outboxes.ts';
import { watchHeld } from '../../support/held.ts';
import { ManualClock } from '../../support/clock.ts';
import { FakeConnection, turn } from './support.ts';

const BYTES_MAX = 1_000;
const DROP_AFTER_MS = 500;

/** The outbox of one client. `outboxes` where it is one of several. */
function setUp({ bytesMax = BYTES_MAX, allBytesMax = 1e9 } = {}, shared?: Outboxes) {
  const clock = new ManualClock(1_000);
  const connection = new FakeConnection();
  const outboxes = shared ?? new Outboxes(clock, allBytesMax);
  const events: string[] = [];
  const owner = {
    flushed() {
      events.push('flushed');
    },
    evict() {
      events.push('evicted');
      connection.destroyed = true;
      outbox.end();
      outbox.release();
    },
  };
  const limits = { bytesMax, dropAfterMs: DROP_AFTER_MS };
  const outbox: Outbox = new Outbox(connection, outboxes, limits, owner);
  const put = (name: string, bytes = 0) => outbox.put(message(name, bytes));
  const latest = (name: string, latestKey: string) =>
    outbox.putPerishable(message(name), { ...LASTING, latestKey });
  return { clock, connection, outboxes, outbox, events, put, latest };
}

const LASTING: Perishable = { droppable: false, expiresAt: Infinity, latestKey: '' };
/** A push whose route is `name`; `bytes` long, if said. */
function message(name: string, bytes = 0): Buffer {
  const bare = encodePush(name, Buffer.alloc(0))!;
  if (bytes <= bare.length) return bare;
  for (let body = bytes - bare.length; ; body--) {
    const padded = encodePush(name, Buffer.alloc(body))!;
    if (padded.length <= bytes) return padded;
  }
}

/** The routes of what was sent, one list per write. */
const sent = (connection: FakeConnection) =>
  connection.writes.map((packets) => packets.map((packet) => packet.toString('latin1', 8)));

/** The same of all writes, however long the messages. */
const routes = (connection: FakeConnection) =>
  connection.messages.map((text) => text.slice(0, text.indexOf(' ')));

describe('a flush', () => {
  test('comes once per turn and sends everything in one write', async () => {
    const { connection, put } = setUp();
    for (const name of ['a', 'b', 'c']) put(name);
    expect(connection.writes).toEqual([]);
    await turn();
    put('d');
    await turn();
    await turn();
    expect(sent(connection)).toEqual([['a', 'b', 'c'], ['d']]);
  });

  test('writes nothing when nothing waits', () => {
    const { connection, outbox } = setUp();
    outbox.flush();
    outbox.onDrain();
    expect(connection.writes).toEqual([]);
  });

  test('waits for the drain while the client takes nothing', async () => {
    const { connection, outbox, put } = setUp();
    connection.stuck = true;
    put('a');
    await turn();
    put('b');
    await turn();
    put('c');
    await turn();
    expect(sent(connection)).toEqual([['a']]);
    connection.drain();
    outbox.onDrain();
    expect(sent(connection)).toEqual([['a'], ['b', 'c']]);
  });

  test('that is the last one is held back by nothing', () => {
    const { connection, outbox, put } = setUp();
    outbox.cork();
    connection.congested = true;
    put('a');
    outbox.flushLast();
    outbox.uncork();
    expect(sent(connection)).toEqual([['a']]);
  });
});

describe('a cork', () => {
  test('keeps everything back until the last one is out', async () => {
    const { connection, outbox, put } = setUp();
    put('before');
    outbox.cork();
    put('a');
    outbox.cork();
    await turn();
    outbox.uncork();
    put('b');
    outbox.flush();
    await turn();
    expect(connection.writes).toEqual([]);
    outbox.uncork();
    await turn();
    expect(sent(connection)).toEqual([['before', 'a', 'b']]);
  });

  test('outlasts a drain', async () => {
    const { connection, outbox, put } = setUp();
    outbox.cork();
    put('a');
    outbox.onDrain();
    await turn();
    expect(connection.writes).toEqual([]);
  });
});

/** What waited before is offered to the client, and the system has asked its socket again. */
async function twoTurns(outboxes: Outboxes): Promise<void> {
  for (let i = 0; i < 2; i++) {
    outboxes.touch(setUp().outbox);
    await turn();
  }
}

describe('the bound', () => {
  test('counts what waits here and what waits in the socket', async () => {
    const { connection, outbox, outboxes, put } = setUp();
    connection.stuck = true;
    expect(put('a', 600)).toBe('taken');
    await turn();
    expect(put('b', 400)).toBe('taken');
    expect(outbox.unsentBytes).toBe(1_000);
    expect(put('c', 20)).toBe('taken');
    await twoTurns(outboxes);
    expect(put('d', 20)).toBe('full');
    expect(routes(connection)).toEqual(['a']);
  });

  test('is not met by what a client takes at once: it is offered before it is called full', () => {
    const { connection, outbox } = setUp();
    for (let i = 0; i < 1_200; i++) expect(outbox.put(message(`m${i}`, 100))).toBe('taken');
    expect(connection.writes.flat().length).toBeGreaterThanOrEqual(1_190);
    outbox.flush();
    expect(routes(connection)).toEqual(Array.from({ length: 1_200 }, (_, i) => `m${i}`));
  });

  test('is not met by what comes in one turn, while a socket takes nothing before its end', async () => {
    const { connection, outbox, put } = setUp();
    connection.stuck = true;
    for (let i = 0; i < 60; i++) expect(put('x', 100)).toBe('taken');
    await turn();
    // As TLS does: all of it taken, a little later.
    connection.drain();
    outbox.onDrain();
    expect(outbox.unsentBytes).toBe(0);
    for (let i = 0; i < 60; i++) expect(put('x', 100)).toBe('taken');
  });

  test('is met by a client that takes less than comes, turn after turn', async () => {
    const { connection, outbox, put } = setUp();
    const taken: string[] = [];
    for (let i = 0; i < 4; i++) {
      connection.stuck = true;
      taken.push(put('x', 500), put('y', 600));
      await turn();
      connection.drain();
      connection.stuck = true;
      outbox.onDrain();
      await turn();
    }
    expect(taken.indexOf('full')).toBe(4);
    expect(outbox.unsentBytes).toBeLessThan(3_000);
  });

  test('lets one message through that is longer than the bound, when it is alone', async () => {
    const { connection, outbox, outboxes, put } = setUp();
    connection.stuck = true;
    expect(put('big', 5_000)).toBe('taken');
    expect(put('small')).toBe('taken');
    await twoTurns(outboxes);
    expect(put('small')).toBe('full');
    connection.drain();
    outbox.onDrain();
    expect(put('small')).toBe('taken');
  });

  test('drops what may be dropped, and says full of what may not', async () => {
    const { connection, outbox, outboxes, put } = setUp();
    connection.stuck = true;
    put('a', 1_000);
    put('b', 20);
    await twoTurns(outboxes);
    const one = message('b');
    expect(outbox.putPerishable(one, { ...LASTING, droppable: true })).toBe('dropped');
    expect(outbox.putPerishable(one, { ...LASTING, latestKey: 'k' })).toBe('dropped');
    expect(outbox.putPerishable(one, { ...LASTING, expiresAt: 9_999 })).toBe('full');
  });

  test('holds for what must not be sent yet, after two turns', async () => {
    const { connection, outbox, outboxes, put } = setUp();
    outbox.cork();
    for (let i = 0; i < 20; i++) expect(put('x', 100)).toBe('taken');
    expect(outbox.isBehind).toBe(true);
    await twoTurns(outboxes);
    expect(put('x', 100)).toBe('full');
    expect(connection.writes).toEqual([]);
    outbox.uncork();
    await turn();
    expect(outbox.isBehind).toBe(false);
    expect(connection.writes.flat()).toHaveLength(20);
  });
});

describe('a client', () => {
  test('is not behind while its socket only takes a little later, as TLS does', async () => {
    const { connection, outbox, put } = setUp();
    const behind: boolean[] = [];
    for (let i = 0; i < 10; i++) {
      connection.stuck = true;
      put('x');
      await turn();
      behind.push(outbox.isBehind);
      expect(outbox.hasBacklog).toBe(true);
      connection.drain();
      outbox.onDrain();
      behind.push(outbox.isBehind);
    }
    expect(behind).not.toContain(true);
  });

  test('is behind that has taken nothing for two turns, or of whose outbox half is full', async () => {
    const { connection, outbox, outboxes, put } = setUp();
    connection.stuck = true;
    put('x');
    await turn();
    expect(outbox.isBehind).toBe(false);
    put('half', 501);
    expect(outbox.isBehind).toBe(true);
    connection.drain();
    outbox.onDrain();
    expect(outbox.isBehind).toBe(false);
    connection.stuck = true;
    put('x');
    await turn();
    await twoTurns(outboxes);
    expect(outbox.isBehind).toBe(true);
  });
});

describe('all outboxes together', () => {
  /** Clients that take nothing, each with so many bytes waiting since long. */
  async function stuck(allBytesMax: number, ...sizes: number[]) {
    const outboxes = new Outboxes(new ManualClock(1_000), allBytesMax);
    const clients = sizes.map((bytes) => {
      const client = setUp({ bytesMax: 10_000 }, outboxes);
      client.connection.stuck = true;
      client.put('in the socket', bytes / 2);
      client.outbox.flush();
      client.put('here', bytes / 2);
      return client;
    });
    await turn();
    await twoTurns(outboxes);
    const evicted = () =>
      clients.flatMap(({ events }, i) => (events.includes('evicted') ? [i] : []));
    return { outboxes, clients, evicted };
  }

  test('hold what is queued and what the sockets hold, to the byte', async () => {
    const { outboxes, clients } = await stuck(1e9, 200, 400);
    expect(outboxes.heldBytes).toBe(600);
    const [first, second] = clients;
    first!.connection.drain();
    first!.outbox.onDrain();
    expect(outboxes.heldBytes).toBe(400);
    second!.outbox.end();
    expect(outboxes.heldBytes).toBe(200);
    second!.outbox.release();
    expect(outboxes.heldBytes).toBe(0);
  });

  test('hold many small pushes, which take many times their bytes, and their keys', () => {
    const { connection, outbox, outboxes, put } = setUp({ bytesMax: 1e6 });
    connection.stuck = true;
    put('in the socket');
    outbox.flush();
    const inSocket = outboxes.heldBytes;
    // Measured of the heap: 100 bytes for each, 500 with a key of 256 characters.
    for (let i = 0; i < 2_000; i++) put('x', 20);
    expect(outboxes.heldBytes - inSocket).toBe(2_000 * (20 + 128) - 32_768);
    for (let i = 0; i < 2_000; i++) {
      const latestKey = String(i).padStart(256, 'k');
      outbox.putPerishable(message('x', 20), { ...LASTING, latestKey });
      outbox.putPerishable(message('x', 20), { ...LASTING, latestKey });
    }
    expect(outboxes.heldBytes - inSocket).toBe(4_000 * (20 + 128) + 2_000 * 384 - 32_768);
    connection.drain();
    outbox.onDrain();
    expect(outboxes.heldBytes).toBe(0);
  });

  test('at the bound close the fullest whose client is behind, and no more than have to go', async () => {
    const { clients, evicted, outboxes } = await stuck(3_000, 600, 1_600, 400);
    const reader = setUp({ bytesMax: 10_000 }, outboxes);
    expect(reader.put('a', 500)).toBe('taken');
    expect(evicted()).toEqual([1]);
    expect(outboxes.heldBytes).toBe(1_500);
    for (let i = 0; i < 3; i++) expect(clients[2]!.put('b', 500)).toBe('taken');
    expect(evicted()).toEqual([1]);
    expect(clients[2]!.put('c', 500)).toBe('taken');
    expect(outboxes.heldBytes).toBeLessThanOrEqual(3_000);
  });

  test('close the one that is put to when it is the fullest', async () => {
    const { clients, evicted } = await stuck(1_000, 600, 300);
    expect(clients[0]!.put('x', 500)).toBe('full');
    expect(evicted()).toEqual([0]);
  });

  test('close nobody for what may be dropped', async () => {
    const { clients, evicted } = await stuck(1_000, 600, 300);
    const droppable = { ...LASTING, droppable: true };
    expect(clients[1]!.outbox.putPerishable(message('x', 500), droppable)).toBe('dropped');
    expect(evicted()).toEqual([]);
  });

  test('drop nothing of what clients take, and offer it to everybody before they are full', async () => {
    const outboxes = new Outboxes(new ManualClock(1_000), 6_000);
    const clients = Array.from({ length: 100 }, () => setUp({ bytesMax: 10_000 }, outboxes));
    const droppable = { ...LASTING, droppable: true };
    for (const { outbox, connection } of clients) {
      // Every second one is as TLS: it takes everything, a little later.
      connection.stuck = clients.findIndex((client) => client.outbox === outbox) % 2 === 0;
      expect(outbox.putPerishable(message('x', 100), droppable)).toBe('taken');
      expect(outboxes.heldBytes).toBeLessThanOrEqual(6_000);
    }
    await turn();
    expect(clients.map(({ connection }) => connection.writes.flat().length)).toEqual(
      Array<number>(100).fill(1),
    );
  });

  test('drop what may be dropped in the turn in which nobody takes it', () => {
    const outboxes = new Outboxes(new ManualClock(1_000), 3_000);
    const droppable = { ...LASTING, droppable: true };
    const outcomes = Array.from({ length: 10 }, () => {
      const { connection, outbox } = setUp({ bytesMax: 10_000 }, outboxes);
      connection.stuck = true;
      return outbox.putPerishable(message('x', 1_000), droppable);
    });
    expect(outcomes).toEqual([
      ...Array<string>(3).fill('taken'),
      ...Array<string>(7).fill('dropped'),
    ]);
  });

  test('keep their bound within a turn, though nobody has had time to take anything', () => {
    const outboxes = new Outboxes(new ManualClock(1_000), 3_000);
    const sizes = [300, 900, 600, 800, 700, 200, 1_500];
    const clients = sizes.map((bytes) => {
      const client = setUp({ bytesMax: 10_000 }, outboxes);
      client.connection.stuck = true;
      expect(client.put('x', bytes)).toBe('taken');
      expect(outboxes.heldBytes).toBeLessThanOrEqual(3_000);
      return client;
    });
    // No more than had to go, of those who were there when there was no room: 900 for the 700, 800 and 600 for the 1500.
    expect(
      clients.flatMap(({ events }, i) => (events.includes('evicted') ? sizes[i] : [])),
    ).toEqual(
      [900, 600, 800], // prettier-ignore
    );
    expect(outboxes.heldBytes).toBe(2_700);
  });

  test('keep it against one client whose messages come in one turn', () => {
    const { connection, events, outboxes, put } = setUp({ bytesMax: 10_000, allBytesMax: 3_000 });
    connection.stuck = true;
    const outcomes = Array.from({ length: 5 }, () => put('x', 1_000));
    expect(outcomes).toEqual(['taken', 'taken', 'taken', 'full', 'full']);
    expect(events.filter((event) => event === 'evicted')).toHaveLength(1);
    expect(outboxes.heldBytes).toBe(0);
  });

  test('let one message through that is larger than their bound, where nothing else is held', () => {
    const { outboxes, put } = setUp({ bytesMax: 10_000, allBytesMax: 3_000 });
    expect(put('x', 5_000)).toBe('taken');
    expect(outboxes.heldBytes).toBe(5_000);
  });

  test('cut off what the sockets of ended sessions still hold, when there is no other room', () => {
    const outboxes = new Outboxes(new ManualClock(1_000), 3_000);
    const [leaving, next, after] = [0, 1, 2].map(() => setUp({ bytesMax: 10_000 }, outboxes));
    leaving!.connection.stuck = true;
    leaving!.put('goodbye', 2_500);
    leaving!.outbox.flushLast();
    leaving!.outbox.end();
    expect(outboxes.heldBytes).toBe(2_500);
    next!.connection.stuck = true;
    expect(next!.put('x', 400)).toBe('taken');
    expect(leaving!.connection.destroyed).toBe(false);
    expect(after!.put('x', 400)).toBe('taken');
    expect(leaving!.connection.destroyed).toBe(true);
    expect(next!.events).not.toContain('evicted');
    expect(outboxes.heldBytes).toBe(800);
  });

  test('look through thousands once in a turn, not for every message', async () => {
    const { clients, outboxes, evicted } = await stuck(100_000, ...Array<number>(1_000).fill(100));
    let looked = 0;
    for (const { connection } of clients) {
      const bytes = connection.bufferedBytes;
      Object.defineProperty(connection, 'bufferedBytes', { get: () => (looked++, bytes) });
    }
    const reader = setUp({ bytesMax: 1e9 }, outboxes);
    reader.connection.stuck = true;
    for (let i = 0; i < 100; i++) reader.put('x', 500);
    expect(evicted()).toHaveLength(500);
    // Sorting a thousand, and what each close looks at.
    expect(looked).toBeLessThan(40_000);
  });
});

describe('a droppable push', () => {
  test('is dropped once the backlog is older than the limit, and no more after the drain', () => {
    const { clock, connection, outbox, put } = setUp();
    const droppable = { ...LASTING, droppable: true };
    connection.stuck = true;
    put('a');
    outbox.flush();
    clock.advance(DROP_AFTER_MS);
    expect(outbox.backlogMs(clock.now())).toBe(DROP_AFTER_MS);
    expect(outbox.putPerishable(message('b'), droppable)).toBe('taken');
    clock.advance(1);
    expect(outbox.putPerishable(message('c'), droppable)).toBe('dropped');
    expect(put('d')).toBe('taken');
    connection.drain();
    outbox.onDrain();
    expect(outbox.backlogMs(clock.now())).toBe(0);
    expect(outbox.putPerishable(message('e'), droppable)).toBe('taken');
    outbox.flush();
    expect(sent(connection)).toEqual([['a'], ['b', 'd'], ['e']]);
  });
});

describe('the latest push of a key', () => {
  test('replaces the unsent one of the same key, and stands at its own place', () => {
    const { connection, outbox, outboxes, put, latest } = setUp();
    latest('hp1', 'hp');
    latest('mp1', 'mp');
    put('x');
    latest('hp2', 'hp');
    latest('hp3', 'hp');
    outbox.flush();
    expect(sent(connection)).toEqual([['mp1', 'x', 'hp3']]);
    expect(outboxes.skipped).toEqual({ replaced: 2, expired: 0 });
  });

  test('is one even where the next piece had no room for it', () => {
    const { connection, outbox, outboxes, put, latest } = setUp({ bytesMax: 1e6 });
    put('big', 60_000);
    outbox.putPerishable(message('v1', 20_000), { ...LASTING, latestKey: 'k' });
    connection.stuck = true;
    outbox.flush();
    expect(routes(connection)).toEqual(['big']);
    latest('v2', 'k');
    latest('v3', 'k');
    connection.drain();
    outbox.onDrain();
    expect(routes(connection)).toEqual(['big', 'v3']);
    expect(outboxes.skipped).toEqual({ replaced: 2, expired: 0 });
  });

  test('lets go of what it replaces: bytes at once, and the places when they are many', () => {
    const { connection, outbox, outboxes, put } = setUp({ bytesMax: 1e6 });
    connection.stuck = true;
    put('a');
    outbox.flush();
    const held = outboxes.heldBytes;
    const queue = new OutboxQueue({ replaced: 0, expired: 0 });
    for (let i = 0; i < 5_000; i++) {
      const push = { ...LASTING, latestKey: 'k' };
      outbox.putPerishable(message('x', 5_000), push);
      queue.pushPerishable(message('x', 50), push);
      expect(outboxes.heldBytes - held).toBe(5_000);
      expect(queue.length).toBeLessThan(1_100);
    }
    expect(outboxes.skipped).toEqual({ replaced: 4_999, expired: 0 });
    connection.drain();
    outbox.onDrain();
    expect(routes(connection)).toEqual(['a', 'x']);
    expect(outboxes.heldBytes).toBe(0);
  });

  test('does not replace what was sent', () => {
    const { connection, outbox, outboxes, latest } = setUp();
    latest('hp1', 'hp');
    outbox.flush();
    latest('hp2', 'hp');
    outbox.flush();
    expect(sent(connection)).toEqual([['hp1'], ['hp2']]);
    expect(outboxes.skipped).toEqual({ replaced: 0, expired: 0 });
  });
});

describe('a push that expires', () => {
  test('is not sent from that moment on, and is counted', () => {
    const { clock, connection, outbox, outboxes } = setUp();
    outbox.putPerishable(message('a'), { ...LASTING, expiresAt: 1_010 });
    outbox.putPerishable(message('b'), { ...LASTING, expiresAt: 1_011 });
    clock.advance(10);
    outbox.flush();
    expect(sent(connection)).toEqual([['b']]);
    expect(outboxes.skipped).toEqual({ replaced: 0, expired: 1 });
  });

  test('leaves no write behind when nothing else waits', () => {
    const { clock, connection, outbox } = setUp();
    outbox.putPerishable(message('a'), { ...LASTING, expiresAt: 1_010 });
    clock.advance(10);
    outbox.flush();
    expect(connection.writes).toEqual([]);
    expect(outbox.unsentBytes).toBe(0);
  });
});

test('nothing is kept of what was sent, though the client is never quite up to date', async () => {
  const queue = new OutboxQueue({ replaced: 0, expired: 0 });
  const held = await watchHeld();
  for (let n = 0; n < 3; n++) queue.push(Buffer.alloc(65_536));
  for (let n = 0; n < 500; n++) {
    queue.push(Buffer.alloc(65_536));
    expect(queue.take(65_536, new ManualClock(1_000))).toHaveLength(1);
  }
  expect(queue.bytes).toBe(3 * 65_536);
  await held.expectGrownLess(queue.bytes + 1_048_576);
});

type Kept = { name: string; bytes: number; expiresAt: number; key: string };

/** The outbox said simply. */
class Model {
  queue: Kept[] = [];
  sent: string[] = [];
  socketBytes = 0;
  stuck = false;
  corks = 0;
  replaced = 0;
  expired = 0;
  backlogSince = 0;

  get unsent(): number {
    return this.queue.reduce((sum, { bytes }) => sum + bytes, this.socketBytes);
  }

  put(kept: Kept, droppable: boolean, now: number): string {
    const slow = this.backlogSince > 0 && now - this.backlogSince > DROP_AFTER_MS;
    if (droppable && slow) return 'dropped';
    // In one turn nobody is slow, and this model knows no second one.
    if (!this.#fits(kept)) this.flush(now);
    const older = this.#older(kept);
    if (older !== undefined) {
      this.queue.splice(this.queue.indexOf(older), 1);
      this.replaced++;
    }
    this.queue.push(kept);
    return 'taken';
  }

  #older({ key }: Kept): Kept | undefined {
    return this.queue.find((one) => key !== '' && one.key === key);
  }

  #fits(kept: Kept): boolean {
    const unsent = this.unsent - (this.#older(kept)?.bytes ?? 0);
    return unsent === 0 || unsent + kept.bytes <= BYTES_MAX;
  }

  flush(now: number): void {
    if (this.corks === 0 && this.socketBytes === 0) {
      for (const { name, bytes, expiresAt } of this.queue) {
        if (expiresAt <= now) {
          this.expired++;
          continue;
        }
        this.sent.push(name);
        if (this.stuck) this.socketBytes += bytes;
      }
      this.queue = [];
    }
    if (this.socketBytes === 0) this.backlogSince = 0;
    else if (this.backlogSince === 0) this.backlogSince = now;
  }
}

describe('any sequence of steps', () => {
  const push = fc.record({
    droppable: fc.boolean(),
    expiresIn: fc.constantFrom(Infinity, Infinity, 100, 1),
    latestKey: fc.constantFrom('', '', 'k', 'l'),
    bytes: fc.integer({ min: 20, max: 700 }),
  });
  const step = fc.oneof(
    { weight: 4, arbitrary: push },
    { weight: 3, arbitrary: fc.integer({ min: 20, max: 700 }) },
    { weight: 5, arbitrary: fc.constantFrom('flush', 'cork', 'uncork', 'stuck', 'drain', 'wait') },
  );

  test('counts, keeps and sends what the model does', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const { clock, connection, outbox, outboxes } = setUp();
        const model = new Model();
        for (const [i, one] of steps.entries()) {
          const name = `m${i}`;
          const now = clock.now();
          let taken = ['', ''];
          if (typeof one === 'number') {
            const encoded = message(name, one);
            const kept = { name, bytes: encoded.length, expiresAt: Infinity, key: '' };
            taken = [outbox.put(encoded), model.put(kept, false, now)];
          } else if (typeof one === 'object') {
            const encoded = message(name, one.bytes);
            const { droppable, latestKey } = one;
            const expiresAt = now + one.expiresIn;
            const kept = { name, bytes: encoded.length, expiresAt, key: latestKey };
            const perishable = { droppable, latestKey, expiresAt };
            taken = [outbox.putPerishable(encoded, perishable), model.put(kept, droppable, now)];
          } else if (one === 'flush') {
            outbox.flush();
            model.flush(now);
          } else if (one === 'cork') {
            outbox.cork();
            model.corks++;
          } else if (one === 'uncork' && model.corks > 0) {
            outbox.uncork();
            model.corks--;
          } else if (one === 'stuck') {
            connection.stuck = true;
            model.stuck = true;
          } else if (one === 'drain') {
            connection.drain();
            Object.assign(model, { stuck: false, socketBytes: 0, backlogSince: 0 });
            outbox.onDrain();
            model.flush(now);
          } else if (one === 'wait') {
            clock.advance(150);
          }
          expect(taken[0]).toBe(taken[1]);
          expect(outbox.unsentBytes).toBe(model.unsent);
          expect(outboxes.heldBytes).toBe(model.unsent);
          expect(outbox.backlogMs(clock.now())).toBe(
            model.backlogSince === 0 ? 0 : clock.now() - model.backlogSince,
          );
          const { replaced, expired } = model;
          expect(outboxes.skipped).toEqual({ replaced, expired });
        }
        expect(routes(connection)).toEqual(model.sent);
      }),
      { numRuns: 300 },
    );
  });
});
