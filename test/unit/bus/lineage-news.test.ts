/** When a gateway says what it knows of lineages. */
import { expect, test } from 'vitest';

import { type Known, NatsLineageNews } from '../../../src/bus/lineage-news.ts';
import { EndedLineages } from '../../../src/resume/ended-lineages.ts';
import { Lineages } from '../../../src/resume/lineages.ts';
import { activate } from '../session/support.ts';
import { Exchange, makeParts } from './support.ts';

function stage() {
  const exchange = new Exchange();
  const { parts, clock } = makeParts('a-0123456789', exchange);
  const told = exchange.hear('pith.fleet.lineages');
  const answers = Promise.resolve({ answers: [], silentGateways: [] });
  const news = new NatsLineageNews(parts, { ended: () => answers as never });
  const lineages = new Lineages();
  const known: Known = { lineages, ended: new EndedLineages(clock, 60_000), hearEnded() {} };
  const goneOn = (n: number): void => {
    const place = { lineage: `L-${n}`, counter: 1, sid: `a-0123456789.${n}` };
    lineages.add({ ...place, session: activate({ n }).session });
  };
  news.attach(known);
  const rows = (): number[] =>
    told.splice(0).map((text) => (JSON.parse(text) as { live: unknown[] }).live.length);
  const advance = (ms: number): void => {
    clock.advance(ms);
    exchange.deliver();
  };
  return { news, clock, goneOn, rows, advance };
}

test('what there is is said soon, and again every half minute, 500 rows in a message', () => {
  const { goneOn, rows, advance } = stage();
  for (let n = 0; n < 501; n++) goneOn(n);
  advance(300);
  expect(rows()).toEqual([500, 1]);
  advance(29_000);
  expect(rows()).toEqual([]);
  advance(2_000);
  expect(rows()).toEqual([500, 1]);
});

test('to a gateway that is new it is said at once', () => {
  const { news, goneOn, rows, advance } = stage();
  goneOn(1);
  advance(1_000);
  rows();
  news.onUp();
  advance(200);
  expect(rows()).toEqual([1]);
});

test('with nothing to say, a gateway is not woken up ten times a second for it', () => {
  const { clock, advance } = stage();
  advance(1_000);
  let timers = 0;
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (ms, fn) => {
    timers++;
    return setTimer(ms, fn);
  };
  advance(60_000);
  // The wheel looks once a second.
  expect(timers).toBeLessThan(70);
});
