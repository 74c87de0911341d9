import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { type Carried, Lane, type Queued } from '../../../src/session/lane.ts';

class Item implements Queued {
  readonly exclusive: boolean;
  readonly unordered: boolean;
  readonly #onStart: (item: Item) => void;

  constructor(kind: string, onStart: (item: Item) => void) {
    this.exclusive = kind.includes('exclusive');
    this.unordered = kind.includes('unordered');
    this.#onStart = onStart;
  }

  start(): void {
    this.#onStart(this);
  }
}

/** A lane, and what started in it, by name. */
function setUp() {
  const lane = new Lane();
  const started: string[] = [];
  const items = new Map<string, Item>();
  const enter = (name: string, kind = 'shared', onStart: (item: Item) => void = () => {}) => {
    const item = new Item(kind, (one) => {
      started.push(name);
      onStart(one);
    });
    items.set(name, item);
    lane.enter(item);
  };
  const item = (name: string) => items.get(name)!;
  return { lane, started, enter, item };
}

describe('messages', () => {
  test('that share a lane start at once', () => {
    const { lane, started, enter } = setUp();
    for (const name of ['a', 'b', 'c']) enter(name);
    expect(started).toEqual(['a', 'b', 'c']);
    expect(lane.inFlight).toBe(3);
  });

  test('that are exclusive start one after the other, and nothing overtakes them', () => {
    const { lane, started, enter, item } = setUp();
    enter('a', 'exclusive');
    enter('b', 'exclusive');
    enter('c', 'shared');
    expect(started).toEqual(['a']);
    expect(lane.waiting).toBe(2);
    lane.leave(item('a'));
    expect(started).toEqual(['a', 'b', 'c']);
  });

  test('that ask for no order pass those that wait', () => {
    const { started, enter } = setUp();
    enter('a', 'exclusive');
    enter('b', 'exclusive');
    enter('c', 'unordered');
    enter('d', 'unordered exclusive');
    expect(started).toEqual(['a', 'c', 'd']);
  });

  test('that are abandoned never start, and let through who waited for them', () => {
    const { lane, started, enter, item } = setUp();
    enter('a', 'exclusive');
    enter('b', 'exclusive');
    enter('c', 'shared');
    lane.abandon(item('b'));
    expect(started).toEqual(['a', 'c']);
    lane.leave(item('a'));
    expect(started).toEqual(['a', 'c']);
  });

  test('that end while they start go on to the next, ten thousand deep', () => {
    const { lane, started, enter, item } = setUp();
    enter('first', 'exclusive');
    for (let i = 0; i < 10_000; i++) {
      enter(`n${i}`, 'exclusive', (one) => {
        lane.leave(one);
      });
    }
    lane.leave(item('first'));
    expect(started).toHaveLength(10_001);
    expect(started.at(-1)).toBe('n9999');
    expect([lane.inFlight, lane.waiting]).toEqual([0, 0]);
  });

  test('that are abandoned twice, or after their start, change nothing', () => {
    const { lane, started, enter, item } = setUp();
    enter('a', 'exclusive');
    enter('b', 'exclusive');
    lane.abandon(item('a'));
    lane.abandon(item('b'));
    lane.abandon(item('b'));
    expect(started).toEqual(['a']);
    expect([lane.inFlight, lane.waiting]).toEqual([1, 0]);
  });
});

describe('a held lane', () => {
  test('starts nothing until nothing is in flight, then goes on', () => {
    const { lane, started, enter, item } = setUp();
    const inFlightThen: number[] = [];
    enter('a');
    enter('b');
    lane.holdUntilEmpty(() => inFlightThen.push(lane.inFlight));
    enter('c');
    enter('d');
    lane.leave(item('a'));
    expect([started, inFlightThen]).toEqual([['a', 'b'], []]);
    lane.leave(item('b'));
    expect(inFlightThen).toEqual([0]);
    expect(started).toEqual(['a', 'b', 'c', 'd']);
  });

  describe('with messages that are not answered', () => {
    /** A way whose messages arrive when the test says so. */
    class Way implements Carried {
      ended = false;
      readonly asked: (() => void)[] = [];

      whenReceived(done: () => void): void {
        this.asked.push(done);
      }
    }

    test('is held until they have been received, on each way', () => {
      const { lane, started, enter, item } = setUp();
      const [one, two] = [new Way(), new Way()];
      let calls = 0;
      enter('a');
      for (const way of [one, two, one]) lane.unanswered(way);
      lane.holdUntilEmpty(() => calls++);
      enter('b');
      expect([one.asked.length, calls, lane.isAwaitingReceipt]).toEqual([0, 0, true]);
      lane.leave(item('a'));
      expect([one.asked.length, two.asked.length, calls, lane.inFlight]).toEqual([1, 1, 0, 2]);
      one.asked[0]!();
      expect([calls, started]).toEqual([0, ['a']]);
      two.asked[0]!();
      expect([calls, started, lane.isAwaitingReceipt]).toEqual([1, ['a', 'b'], false]);
    });

    test('is not held for a way that has ended, nor for one that has received them at once', () => {
      const { lane, started, enter } = setUp();
      const over = Object.assign(new Way(), { ended: true });
      const quick = { ended: false, whenReceived: (done: () => void) => done() };
      let calls = 0;
      lane.unanswered(over);
      expect(lane.isAwaitingReceipt).toBe(false);
      lane.unanswered(quick);
      lane.holdUntilEmpty(() => calls++);
      enter('a');
      expect([over.asked.length, calls, started, lane.inFlight]).toEqual([0, 1, ['a'], 1]);
    });

    test('is followed once they have been received', () => {
      const before = setUp();
      const after = setUp();
      const way = new Way();
      before.lane.unanswered(way);
      after.lane.follow(before.lane);
      after.enter('a');
      expect([way.asked.length, after.started]).toEqual([1, []]);
      way.asked[0]!();
      expect(after.started).toEqual(['a']);
    });
  });

  test('that is empty goes on at once', () => {
    const { lane, started, enter } = setUp();
    let calls = 0;
    lane.holdUntilEmpty(() => calls++);
    enter('a');
    expect([calls, started]).toEqual([1, ['a']]);
  });

  test('that is held by a message which ends while it starts goes on', () => {
    const { lane, started, enter, item } = setUp();
    let calls = 0;
    enter('a', 'exclusive');
    enter('b', 'exclusive', (one) => {
      lane.holdUntilEmpty(() => calls++);
      lane.leave(one);
    });
    enter('c', 'exclusive');
    lane.leave(item('a'));
    expect([calls, started]).toEqual([1, ['a', 'b', 'c']]);
  });

  test('lets a waiting message be abandoned', () => {
    const { lane, started, enter, item } = setUp();
    enter('a');
    lane.holdUntilEmpty(() => {});
    enter('b');
    enter('c');
    lane.abandon(item('b'));
    lane.leave(item('a'));
    expect(started).toEqual(['a', 'c']);
  });
});

/** The lane said simply: a list that is looked through from the front after every step. */
class Model {
  readonly started: number[] = [];
  waiting: number[] = [];
  inFlight: number[] = [];
  held = false;
  emptied = 0;
  readonly #kinds: readonly string[];

  constructor(kinds: readonly string[]) {
    this.#kinds = kinds;
  }

  enter(n: number): void {
    if (this.#kinds[n]!.includes('unordered')) this.#start(n);
    else this.waiting.push(n);
    this.settle();
  }

  settle(): void {
    if (this.held && this.inFlight.length === 0) {
      this.held = false;
      this.emptied++;
    }
    while (!this.held && this.waiting.length > 0 && this.#mayStart(this.waiting[0]!)) {
      this.#start(this.waiting.shift()!);
    }
  }

  #mayStart(n: number): boolean {
    const one = this.#kinds[n]!.startsWith('exclusive');
    return !one || !this.inFlight.some((m) => this.#kinds[m] === 'exclusive');
  }

  #start(n: number): void {
    this.started.push(n);
    if (!this.#kinds[n]!.includes('instant')) this.inFlight.push(n);
  }
}

describe('any sequence of steps', () => {
  const kind = fc.constantFrom(
    'shared',
    'exclusive',
    'exclusive',
    'unordered',
    'unordered exclusive',
    'instant',
    'exclusive instant',
  );
  const step = fc.tuple(
    fc.constantFrom('enter', 'enter', 'leave', 'leave', 'abandon', 'hold'),
    fc.nat(),
  );

  test('starts each message once, in the order and at the time that the model says', () => {
    fc.assert(
      fc.property(
        fc.array(kind, { minLength: 1, maxLength: 200, size: 'max' }),
        fc.array(step, { maxLength: 500, size: 'max' }),
        (kinds, steps) => {
          const model = new Model(kinds);
          const lane = new Lane();
          const started: number[] = [];
          let emptied = 0;
          const items = kinds.map(
            (of, n) =>
              new Item(of, (item) => {
                started.push(n);
                if (of.includes('instant')) lane.leave(item);
              }),
          );
          let next = 0;
          for (const [what, pick] of steps) {
            if (what === 'enter' && next < items.length) {
              model.enter(next);
              lane.enter(items[next++]!);
            } else if (what === 'leave' && model.inFlight.length > 0) {
              const [n] = model.inFlight.splice(pick % model.inFlight.length, 1);
              model.settle();
              lane.leave(items[n!]!);
            } else if (what === 'abandon' && model.waiting.length > 0) {
              const [n] = model.waiting.splice(pick % model.waiting.length, 1);
              model.settle();
              lane.abandon(items[n!]!);
            } else if (what === 'hold' && !model.held) {
              model.held = true;
              model.settle();
              lane.holdUntilEmpty(() => emptied++);
            }
            expect(started).toEqual(model.started);
            expect([lane.inFlight, lane.waiting, emptied]).toEqual([
              model.inFlight.length,
              model.waiting.length,
              model.emptied,
            ]);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('a lane that is paused', () => {
  test('starts nothing in its turn, and goes on in the old order', () => {
    const { lane, started, enter, item } = setUp();
    enter('a', 'shared', () => {
      lane.pause();
    });
    enter('b');
    enter('c', 'exclusive');
    enter('d', 'shared unordered');
    expect(started).toEqual(['a', 'd']);
    lane.leave(item('d'));
    expect(started).toEqual(['a', 'd']);
    lane.resume();
    expect(started).toEqual(['a', 'd', 'b', 'c']);
    lane.leave(item('a'));
    enter('e');
    expect(started).toEqual(['a', 'd', 'b', 'c', 'e']);
  });

  test('is not moved meanwhile: what has paused it is in flight', () => {
    const { lane, started, enter, item } = setUp();
    enter('a', 'shared', () => {
      lane.pause();
    });
    lane.holdUntilEmpty(() => started.push('moved'));
    expect(started).toEqual(['a']);
    lane.resume();
    lane.leave(item('a'));
    expect(started).toEqual(['a', 'moved']);
  });
});

describe('a lane that follows another', () => {
  test('starts when the one before is done, with all that waits there', () => {
    const [one, two, three] = [setUp(), setUp(), setUp()];
    one.enter('a', 'exclusive');
    one.enter('b', 'exclusive');
    two.lane.follow(one.lane);
    three.lane.follow(two.lane);
    three.enter('d');
    two.enter('c');
    two.enter('any', 'unordered');
    one.lane.leave(one.item('a'));
    expect([one.started, two.started, three.started]).toEqual([['a', 'b'], ['any'], []]);
    one.lane.leave(one.item('b'));
    expect([two.started, three.started]).toEqual([['any', 'c'], []]);
    two.lane.leave(two.item('any'));
    two.lane.leave(two.item('c'));
    expect(three.started).toEqual(['d']);
  });

  test('does so too when what waited there is taken out', () => {
    const [one, two] = [setUp(), setUp()];
    one.enter('a', 'exclusive');
    one.enter('b', 'exclusive');
    two.lane.follow(one.lane);
    two.enter('c');
    one.lane.abandon(one.item('b'));
    expect(two.started).toEqual([]);
    one.lane.leave(one.item('a'));
    expect([one.started, two.started]).toEqual([['a'], ['c']]);
  });

  test('does not wait where nothing is to wait for', () => {
    const [one, two] = [setUp(), setUp()];
    two.lane.follow(one.lane);
    two.enter('a');
    expect(two.started).toEqual(['a']);
  });
});
