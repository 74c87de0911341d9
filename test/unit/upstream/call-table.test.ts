import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import type { Call, PendingCall } from '../../../src/upstream/call.ts';
import { BareCall } from '../../support/call.ts';
import { CallTable } from '../../../src/upstream/call-table.ts';

const nothing = () => {};
const PENDING: PendingCall = { cancel: nothing };
const newCall = () => new BareCall();

describe('numbers', () => {
  test('count up from 1 and find their calls once', () => {
    const table = new CallTable(0xffff_ffff);
    const calls = [newCall(), newCall(), newCall()];
    expect(calls.map((call) => table.add(call, PENDING))).toEqual([1, 2, 3]);
    expect(table.take(2)).toBe(calls[1]);
    expect(table.take(2)).toBeNull();
    expect(table.find(3)).toBe(calls[2]);
    expect(table.size).toBe(2);
  });

  test('never repeat and never find another call, over a million uses', () => {
    const table = new CallTable(0xffff_ffff);
    const inFlight: { id: number; call: Call }[] = [];
    const ended: number[] = [];
    let last = 0;
    let random = 1;
    const next = (below: number) => {
      random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
      return (random >>> 8) % below;
    };
    const wrong: string[] = [];
    for (let i = 0; i < 1_000_000; i++) {
      if (inFlight.length === 0 || next(1_000) >= 500 + (inFlight.length - 300)) {
        const call = newCall();
        const id = table.add(call, PENDING);
        if (id <= last) wrong.push(`${id} after ${last}`);
        last = id;
        inFlight.push({ id, call });
        continue;
      }
      const at = next(inFlight.length);
      const { id, call } = inFlight[at]!;
      inFlight[at] = inFlight.at(-1)!;
      inFlight.pop();
      if (table.take(id) !== call) wrong.push(`${id} lost`);
      if (ended.length < 5_000) ended.push(id);
      const late = ended[next(ended.length)]!;
      if (table.find(late) !== null) wrong.push(`${late} found again`);
    }
    expect(wrong).toEqual([]);
    expect(table.size).toBe(inFlight.length);
    expect(inFlight.every(({ id, call }) => table.find(id) === call)).toBe(true);
  });

  test('agree with a map, whatever is done', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('add', 'add', 'take', 'remove'), fc.nat()), {
      maxLength: 1_500,
      size: 'max',
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1_600, max: 3_000 }), (done, idMax) => {
        const table = new CallTable(idMax);
        const model = new Map<number, Call>();
        for (const [step, n] of done) {
          const id = [...model.keys()][n % Math.max(model.size, 1)] ?? 0;
          const call = model.get(id) ?? null;
          let fits = true;
          if (step === 'add') {
            const added = newCall();
            const number = table.add(added, PENDING);
            fits = number >= 1 && number <= idMax && !model.has(number);
            model.set(number, added);
          } else if (step === 'take') {
            fits = table.take(id) === call;
            model.delete(id);
          } else if (call !== null) {
            table.remove(call);
            model.delete(id);
          }
          expect([step, fits, table.size]).toEqual([step, true, model.size]);
        }
        for (const [id, call] of model) expect(table.find(id)).toBe(call);
        expect(new Set(table.takeAll())).toEqual(new Set(model.values()));
        expect(table.size).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  test.each([0, -1, 1.5, Number.NaN, 257, 2 ** 53, Infinity])('%d finds nothing', (id) => {
    const table = new CallTable(0xffff_ffff);
    table.add(newCall(), PENDING);
    expect(table.find(id)).toBeNull();
    expect(table.take(id)).toBeNull();
    expect(table.size).toBe(1);
  });
});

describe('at the last number', () => {
  test('it begins again at 1 and passes over what is still taken', () => {
    const table = new CallTable(5);
    const first = newCall();
    expect(table.add(first, PENDING)).toBe(1);
    const ids: number[] = [];
    for (let i = 0; i < 10; i++) {
      const call = newCall();
      ids.push(table.add(call, PENDING));
      table.remove(call);
    }
    expect(ids).toEqual([2, 3, 4, 5, 2, 3, 4, 5, 2, 3]);
    expect(table.find(1)).toBe(first);
  });

  test('a place taken by a number of an earlier round is passed over', () => {
    const table = new CallTable(0xffff_ffff);
    const old = newCall();
    table.add(old, PENDING);
    for (let i = 2; i <= 256; i++) table.take(table.add(newCall(), PENDING));
    // 257 would stand where 1 stands.
    expect(table.add(newCall(), PENDING)).toBe(258);
    expect(table.find(1)).toBe(old);
  });
});

describe('growth', () => {
  test('keeps every call, many times over', () => {
    const table = new CallTable(0xffff_ffff);
    const calls = Array.from({ length: 20_000 }, newCall);
    const ids = calls.map((call) => table.add(call, PENDING));
    expect(table.size).toBe(20_000);
    expect(calls.every((call, i) => table.find(ids[i]!) === call)).toBe(true);
    expect(calls.every((call, i) => table.take(ids[i]!) === call)).toBe(true);
    expect(table.size).toBe(0);
  });
});

describe('a call that is taken out', () => {
  test('twice is out once', () => {
    const table = new CallTable(100);
    const call = newCall();
    table.add(call, PENDING);
    table.add(newCall(), PENDING);
    table.remove(call);
    table.remove(call);
    expect(table.size).toBe(1);
    expect(call.pending).toBeNull();
  });

  test('is another table’s own affair', () => {
    const [one, other] = [new CallTable(100), new CallTable(100)];
    const call = newCall();
    one.add(call, PENDING);
    other.remove(call);
    expect(one.find(1)).toBe(call);
  });
});

describe('taking all', () => {
  test('leaves out a call that ended while another was being ended', () => {
    const table = new CallTable(100);
    const calls = [newCall(), newCall(), newCall()];
    for (const call of calls) table.add(call, PENDING);
    const ended: Call[] = [];
    for (const call of table.takeAll()) {
      ended.push(call);
      if (call === calls[0]) table.remove(calls[1]!);
    }
    expect(ended).toEqual([calls[0], calls[2]]);
    expect(table.size).toBe(0);
  });
});
