/** The fleet: its figures, its last hour in charts, and its gateways. */
import { useState } from 'preact/hooks';

import { type Column, Table } from '../shell/table.tsx';
import { Badge } from '../shell/notice.tsx';
import type { Gateway, Gateways, History, Series } from './answers.ts';
import { Chart, type ChartSeries } from './chart.tsx';
import { bytes, count, msOf, plural, rate, short, span } from './format.ts';
import { perSecond, useBefore, useMethod } from './live.ts';
import { Figure, Loading, Silent, State } from './parts.tsx';

const GATEWAYS_MS = 2_000;
const HISTORY_MS = 5_000;

export function Fleet() {
  const live = useMethod<Gateways>('ListGateways', {}, GATEWAYS_MS);
  const gateways = live.data?.gateways ?? [];
  const silent = gateways.filter(({ state }) => state === 'silent').map(({ gateway }) => gateway);
  return (
    <div class="stack">
      <h1>Fleet</h1>
      <Loading live={live} what="the gateways" />
      <Silent gateways={silent} what="Their sessions are not counted." />
      {live.data !== null && (
        <>
          <Figures gateways={gateways} at={live.at} />
          <LastHour />
          <h2>Gateways</h2>
          <Table
            caption="Gateways"
            columns={COLUMNS}
            rows={gateways}
            keyOf={({ gateway }) => gateway}
            empty="No gateway answers."
          />
        </>
      )}
    </div>
  );
}

function sum(gateways: readonly Gateway[], of: (one: Gateway) => number | string): number {
  return gateways.reduce((total, one) => total + Number(of(one)), 0);
}

function Figures({ gateways, at }: { readonly gateways: readonly Gateway[]; readonly at: number }) {
  const there = gateways.filter(({ state }) => state !== 'silent');
  const { before, ms } = useBefore(there, at);
  // Only of gateways that were there before: the counts of one that comes are not of these seconds.
  const rateOf = (of: (one: Gateway) => string): number =>
    there.reduce((total, one) => {
      const was = before?.find(({ gateway }) => gateway === one.gateway);
      return (
        total + perSecond(Number(of(one)), was === undefined ? undefined : Number(of(was)), ms)
      );
    }, 0);
  const failing = rateOf(({ failed }) => failed) + rateOf(({ refused }) => refused);
  const held = sum(there, (one) => one.outbox_bytes);
  const states = [...new Set(gateways.map(({ state }) => state))].sort();
  return (
    <div class="figures">
      <Figure
        name="Sessions"
        value={count(sum(there, ({ sessions }) => sessions))}
        note={`of ${short(sum(there, (one) => one.sessions_max))} possible`}
      />
      <Figure
        name="Messages a second"
        value={rate(rateOf(({ messages }) => messages))}
        note={`${count(sum(there, (one) => one.in_flight))} in flight`}
      />
      <Figure
        name="Errors a second"
        value={rate(failing)}
        tone={failing > 0 ? 'bad' : 'plain'}
        note={`${count(sum(there, ({ failed }) => failed))} failed, ${count(sum(there, ({ refused }) => refused))} refused`}
      />
      <Figure
        name="Gateways"
        value={count(gateways.length)}
        note={states.join(', ')}
        tone={states.includes('silent') ? 'bad' : 'plain'}
      />
      <Figure
        name="Waiting for clients"
        value={bytes(held)}
        note={`of ${bytes(sum(there, (one) => one.outbox_bytes_max))}`}
      />
    </div>
  );
}

const COLUMNS: readonly Column<Gateway>[] = [
  {
    id: 'gateway',
    title: 'Gateway',
    by: ({ gateway }) => gateway,
    cell: ({ gateway, called }) => (
      <>
        <span class="mono">{gateway}</span> {called && <Badge>this one</Badge>}
      </>
    ),
  },
  {
    id: 'state',
    title: 'State',
    by: ({ state }) => state,
    cell: ({ state, maintenance, not_ready: why }) => (
      <>
        <State state={state} /> {maintenance && <Badge tone="warn">maintenance</Badge>}
        {why.length > 0 && why[0] !== state && <div class="soft">{why.join('; ')}</div>}
      </>
    ),
  },
  {
    id: 'sessions',
    title: 'Sessions',
    isNumber: true,
    by: ({ sessions }) => sessions,
    cell: (one) => known(one, count(one.sessions)),
  },
  {
    id: 'flight',
    title: 'In flight',
    isNumber: true,
    by: (one) => one.in_flight,
    cell: (one) => known(one, count(one.in_flight)),
  },
  {
    id: 'failed',
    title: 'Failed',
    isNumber: true,
    by: ({ failed }) => Number(failed),
    cell: (one) => known(one, count(Number(one.failed))),
  },
  {
    id: 'lag',
    title: 'Loop lag',
    isNumber: true,
    by: (one) => msOf(one.event_loop_lag),
    cell: (one) => known(one, span(msOf(one.event_loop_lag))),
  },
  {
    id: 'memory',
    title: 'Memory',
    isNumber: true,
    by: (one) => Number(one.memory_bytes),
    cell: (one) => (one.memory_bytes === '0' ? '–' : bytes(Number(one.memory_bytes))),
  },
  {
    id: 'uptime',
    title: 'Up for',
    isNumber: true,
    by: ({ uptime }) => msOf(uptime),
    cell: (one) => known(one, span(msOf(one.uptime))),
  },
  {
    id: 'version',
    title: 'Version',
    by: ({ version }) => version,
    cell: ({ version }) => version || '–',
  },
  {
    id: 'generation',
    title: 'Generation',
    by: ({ generation }) => generation,
    cell: ({ generation }) => generation || '–',
  },
  { id: 'bus', title: 'Bus', by: ({ bus }) => bus, cell: ({ bus }) => bus || '–' },
];

function known({ state }: Gateway, text: string): string {
  return state === 'silent' ? '–' : text;
}

/** How much of the hour is shown, and how many steps of 10 s make one of the chart's. */
const SPANS: Readonly<
  Record<string, { readonly text: string; readonly steps: number; readonly each: number }>
> = {
  five: { text: '5 minutes', steps: 30, each: 1 },
  quarter: { text: '15 minutes', steps: 90, each: 1 },
  hour: { text: '1 hour', steps: 360, each: 6 },
};
/** The others are added up. */
const NAMED_MAX = 4;

function LastHour() {
  const live = useMethod<History>('GetHistory', {}, HISTORY_MS);
  const [chosen, choose] = useState('quarter');
  const { data } = live;
  if (data === null) return <Loading live={live} what="the last hour" />;
  const view = viewOf(data, SPANS[chosen]!);
  const each = SPANS[chosen]!.each * (msOf(data.step) / 1_000);
  return (
    <section class="stack" aria-label="The last hour">
      <div class="head">
        <h2>Over time</h2>
        <fieldset class="choice">
          <legend class="hidden">How much of it</legend>
          {Object.entries(SPANS).map(([id, { text }]) => (
            <label key={id}>
              <input
                type="radio"
                name="span"
                value={id}
                checked={id === chosen}
                onChange={() => choose(id)}
              />
              {text}
            </label>
          ))}
        </fieldset>
      </div>
      <div class="charts four">
        <Chart
          title="Sessions"
          kind="line"
          times={view.times}
          series={[{ name: 'open', values: view.gauge('sessions') }]}
        />
        <Chart
          title="Messages a second"
          kind="line"
          times={view.times}
          series={view
            .sums('messages', 'relayed')
            .map((one) => ({ ...one, values: one.values.map((n) => n / each) }))}
        />
        <Chart
          title={`Errors in ${plural(each, 'second')}`}
          kind="bars"
          times={view.times}
          series={named(merged([...view.named('failed'), ...view.named('refused')]))}
          empty="No message failed or was refused."
        />
        <Chart
          title={`Closes in ${plural(each, 'second')}, by reason`}
          kind="bars"
          times={view.times}
          series={named(view.named('closed'))}
          empty="No session ended."
        />
      </div>
    </section>
  );
}

type Counted = { readonly name: string; readonly values: readonly number[] };

/** The part of the hour that is shown, in the steps in which it is shown. */
function viewOf(
  { start, step, series }: History,
  { steps, each }: { readonly steps: number; readonly each: number },
) {
  const all = series[0]?.values.length ?? 0;
  const first = Math.max(0, all - steps);
  const startMs = Date.parse(start) + first * msOf(step);
  const groups = Array.from(
    { length: Math.ceil((all - first) / each) },
    (_, i) => first + i * each,
  );
  const of = (kind: string): readonly Series[] => series.filter((one) => one.kind === kind);
  const summed = ({ values }: Series): number[] =>
    groups.map((at) => values.slice(at, at + each).reduce((total, n) => total + Number(n), 0));
  const named = (kind: string): Counted[] =>
    of(kind).map((one) => ({ name: one.name, values: summed(one) }));
  return {
    times: groups.map((at) => startMs + (at - first) * msOf(step)),
    named,
    sums: (kind: string, name: string): Counted[] => {
      const parts = named(kind);
      return [
        {
          name,
          values: groups.map((_, i) => parts.reduce((total, { values }) => total + values[i]!, 0)),
        },
      ];
    },
    gauge: (kind: string): number[] => {
      const [one] = of(kind);
      return groups.map((at) => Number(one?.values[Math.min(at + each, all) - 1] ?? 0));
    },
  };
}

/** A reason may stand for calls that failed, and for messages that were refused. */
function merged(series: readonly Counted[]): Counted[] {
  const byName = new Map<string, readonly number[]>();
  for (const { name, values } of series) {
    const known = byName.get(name);
    byName.set(name, known === undefined ? values : known.map((n, i) => n + values[i]!));
  }
  return [...byName].map(([name, values]) => ({ name, values }));
}

/** The most frequent, in an order that does not change while they are shown; the rest as one. */
function named(series: readonly Counted[]): ChartSeries[] {
  const total = ({ values }: Counted): number => values.reduce((a, b) => a + b, 0);
  const sorted = series.filter((one) => total(one) > 0).sort((a, b) => total(b) - total(a));
  if (sorted.length <= NAMED_MAX + 1) return sorted;
  const rest = sorted.slice(NAMED_MAX);
  const others = rest[0]!.values.map((_, i) =>
    rest.reduce((sum, { values }) => sum + values[i]!, 0),
  );
  return [...sorted.slice(0, NAMED_MAX), { name: 'others', values: others }];
}
