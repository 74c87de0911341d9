/** The small parts that bound what a gRPC backend may cost: ejection and credit; and its addresses. */
import { describe, expect, test } from 'vitest';

import { Ejection } from '../../../src/upstream/pool/ejection.ts';
import { ReceiveWindow } from '../../../src/upstream/link/receive-window.ts';
import { resolverOf } from '../../../src/upstream/pool/resolver.ts';

describe('an ejection', () => {
  test('is due after so many failures in a row', () => {
    const ejection = new Ejection();
    for (let i = 1; i < 5; i++) expect(ejection.failed(i)).toBe(false);
    expect(ejection.answered()).toBe(false);
    for (let i = 1; i < 5; i++) expect(ejection.failed(i)).toBe(false);
    expect(ejection.failed(10)).toBe(true);
    expect(ejection.ejected).toBe(false);
  });

  test('admits one session each time that its time is over, and ends with an answer', () => {
    const ejection = new Ejection();
    ejection.eject(1_000);
    expect(ejection.admits(5_999)).toBe(false);
    const again = 6_000;
    expect(ejection.admits(again)).toBe(true);
    ejection.tried(again);
    expect(ejection.admits(again)).toBe(false);
    expect(ejection.admits(again + 5_000)).toBe(true);
    expect(ejection.answered()).toBe(true);
    expect(ejection.admits(again)).toBe(true);
    expect(ejection.failures).toBe(0);
  });

  test('takes longer each time that the try fails, up to a bound; many failures at once count once', () => {
    const ejection = new Ejection();
    let now = 0;
    ejection.eject(now);
    const lengths: number[] = [];
    for (let i = 0; i < 6; i++) {
      now += ejection.ms;
      ejection.tried(now);
      now += 5_000;
      for (let n = 0; n < 100; n++) ejection.failed(now);
      lengths.push(ejection.ms);
    }
    expect(lengths).toEqual([10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  });
});

describe('what a backend sends by itself', () => {
  test('without credit is counted only', () => {
    const inflow = new ReceiveWindow();
    for (let i = 0; i < 10_000; i++) expect(inflow.take(1_000)).toBe(true);
    expect(inflow.asked).toBe(10_000);
    expect(inflow.grant()).toBeNull();
  });

  test('with credit is a window, granted anew in halves', () => {
    const inflow = new ReceiveWindow();
    inflow.useCredit();
    expect(inflow.grant()).toEqual({ frames: 4_096, bytes: 4_194_304 });
    for (let i = 0; i < 4_096; i++) expect(inflow.take(10)).toBe(true);
    expect(inflow.take(10)).toBe(false);
    for (let i = 1; i < 2_048; i++) inflow.done(10);
    expect(inflow.grant()).toBeNull();
    inflow.done(10);
    expect(inflow.grant()).toEqual({ frames: 2_048, bytes: 20_480 });
    expect(inflow.take(10)).toBe(true);
  });

  test('may end with one that is larger than what is left of the bytes', () => {
    const inflow = new ReceiveWindow();
    inflow.useCredit();
    inflow.grant();
    expect(inflow.take(4_194_303)).toBe(true);
    expect(inflow.take(5_000)).toBe(true);
    expect(inflow.take(1)).toBe(false);
  });
});

describe('the addresses of a backend', () => {
  test.for<[url: string, authority: string, changes: boolean]>([
    ['dns:///chat:9000', 'chat:9000', true],
    ['dns:chat:9000', 'chat:9000', true],
    ['dns://10.0.0.10:53/chat:9000', 'chat:9000', true],
    ['chat:9000', 'chat:9000', true],
    ['[::1]:9000', '[::1]:9000', true],
    ['ipv4:10.0.0.1:9000', '', false],
    ['unix:///run/chat.sock', '', false],
  ])('%s: the name is "%s"', ([url, authority, changes]) => {
    expect(resolverOf(url)).toMatchObject({ authority, changes });
  });

  test.for<[url: string, addresses: string[]]>([
    ['ipv4:10.0.0.1:9000, 10.0.0.2:9000', ['ipv4:10.0.0.1:9000', 'ipv4:10.0.0.2:9000']],
    ['ipv6:[::1]:9000', ['ipv6:[::1]:9000']],
    ['unix:///run/chat.sock', ['unix:/run/chat.sock']],
    ['dns:///127.0.0.1:9000', ['ipv4:127.0.0.1:9000']],
    ['[::1]:9000', ['ipv6:[::1]:9000']],
  ])('%s', async ([url, addresses]) => {
    expect(await resolverOf(url).resolve()).toEqual(addresses);
  });
});
