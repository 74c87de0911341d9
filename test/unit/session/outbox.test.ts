import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { encodePush } from '../../../src/protocol/message.ts';
import { Flusher, Outbox, type Perishable } from '../../../src/session/outbox.ts';
import { ManualClock } from '../../support/clock.ts';
import { FakeConnection, turn } from './support.ts';

const BYTES_MAX = 1_000;
const DROP_AFTER_MS = 500;

function setUp() {
  const clock = new ManualClock(1_000);
  const connection = new FakeConnection();
  const outbox = new Outbox(connection, new Flusher(clock), {
    bytesMax: BYTES_MAX,
    dropAfterMs: DROP_AFTER_MS,
  });
  const put = (name: string) => outbox.put(message(name));
  const latest = (name: string, latestKey: string) =>
    outbox.putPerishable(message(name), { ...LASTING, latestKey });
  return { clock, connection, outbox, put, latest };
}

const LASTING: Perishable = { droppable: false, expiresAt: Infinity, latestKey: '' };
/** A push whose route is `name`; `bytes` long, if said. */
function message(name: string, bytes = 0): Buffer {
  const bare = encodePush(name, Buffer.alloc(0));
  if (bytes <= bare.length) return bare;
  for (let body = bytes - bare.length; ; body--) {
    const padded = encodePush(name, Buffer.alloc(body));
    if (padded.length <= bytes) return padded;
  }
}

/** The routes of what was sent, one list per write. */
const sent = (connection: FakeConnection) =>
  connection.writes.map((packets) => packets.map((packet) => packet.toString('latin1', 8)));

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

describe('the bound', () => {
  test('counts what waits here and what waits in the socket', () => {
    const { connection, outbox } = setUp();
    expect(outbox.put(message('a', 600))).toBe('taken');
    expect(outbox.put(message('b', 401))).toBe('full');
    expect(outbox.put(message('c', 400))).toBe('taken');
    expect(outbox.unsentBytes).toBe(1_000);
    connection.stuck = true;
    outbox.flush();
    expect(outbox.unsentBytes).toBe(1_000);
    expect(outbox.put(message('d', 20))).toBe('full');
  });

  test('lets one message through that is longer than the bound, when it is alone', () => {
    const { outbox } = setUp();
    expect(outbox.put(message('big', 5_000))).toBe('taken');
    expect(outbox.put(message('small'))).toBe('full');
    outbox.flush();
    expect(outbox.put(message('small'))).toBe('taken');
    expect(outbox.put(message('big', 5_000))).toBe('full');
  });

  test('drops what may be dropped, and says full of what may not', () => {
    const { outbox } = setUp();
    outbox.put(message('a', 1_000));
    const one = message('b');
    expect(outbox.putPerishable(one, { ...LASTING, droppable: true })).toBe('dropped');
    expect(outbox.putPerishable(one, { ...LASTING, latestKey: 'k' })).toBe('dropped');
    expect(outbox.putPerishable(one, { ...LASTING, expiresAt: 9_999 })).toBe('full');
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
    const { connection, outbox, put, latest } = setUp();
    latest('hp1', 'hp');
    latest('mp1', 'mp');
    put('x');
    latest('hp2', 'hp');
    latest('hp3', 'hp');
    outbox.flush();
    expect(sent(connection)).toEqual([['mp1', 'x', 'hp3']]);
    expect([outbox.takeSpoiled(), outbox.takeSpoiled()]).toEqual([2, 0]);
  });

  test('does not replace what was sent', () => {
    const { connection, outbox, latest } = setUp();
    latest('hp1', 'hp');
    outbox.flush();
    latest('hp2', 'hp');
    outbox.flush();
    expect(sent(connection)).toEqual([['hp1'], ['hp2']]);
    expect(outbox.takeSpoiled()).toBe(0);
  });
});

describe('a push that expires', () => {
  test('is not sent from that moment on, and is counted', () => {
    const { clock, connection, outbox } = setUp();
    outbox.putPerishable(message('a'), { ...LASTING, expiresAt: 1_010 });
    outbox.putPerishable(message('b'), { ...LASTING, expiresAt: 1_011 });
    clock.advance(10);
    outbox.flush();
    expect(sent(connection)).toEqual([['b']]);
    expect(outbox.takeSpoiled()).toBe(1);
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

type Kept = { name: string; bytes: number; expiresAt: number; key: string };

/** The outbox said simply. */
class Model {
  queue: Kept[] = [];
  sent: string[] = [];
  socketBytes = 0;
  stuck = false;
  corks = 0;
  spoiled = 0;
  backlogSince = 0;

  get unsent(): number {
    return this.queue.reduce((sum, { bytes }) => sum + bytes, this.socketBytes);
  }

  put(kept: Kept, droppable: boolean, now: number): string {
    const older = this.queue.find(({ key }) => kept.key !== '' && key === kept.key);
    const unsent = this.unsent - (older?.bytes ?? 0);
    const slow = this.backlogSince > 0 && now - this.backlogSince > DROP_AFTER_MS;
    const fits = unsent === 0 || unsent + kept.bytes <= BYTES_MAX;
    if (!fits || (droppable && slow)) return droppable || kept.key !== '' ? 'dropped' : 'full';
    if (older !== undefined) {
      this.queue.splice(this.queue.indexOf(older), 1);
      this.spoiled++;
    }
    this.queue.push(kept);
    return 'taken';
  }

  flush(now: number): void {
    if (this.corks > 0 || this.queue.length === 0) return;
    if (this.socketBytes === 0) {
      for (const { name, bytes, expiresAt } of this.queue) {
        if (expiresAt <= now) {
          this.spoiled++;
          continue;
        }
        this.sent.push(name);
        if (this.stuck) this.socketBytes += bytes;
      }
      this.queue = [];
    }
    if (this.socketBytes > 0 && this.backlogSince === 0) this.backlogSince = now;
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
        const { clock, connection, outbox } = setUp();
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
          expect(outbox.backlogMs(clock.now())).toBe(
            model.backlogSince === 0 ? 0 : clock.now() - model.backlogSince,
          );
          expect(outbox.takeSpoiled()).toBe(model.spoiled);
          model.spoiled = 0;
        }
        const routes = connection.messages.map((text) => text.slice(0, text.indexOf(' ')));
        expect(routes).toEqual(model.sent);
      }),
      { numRuns: 300 },
    );
  });
});
