/** The rules, with how often each is used, and what comes of it. */
import { type Column, Table } from '../shell/table.tsx';
import type { Route, Routes as Answer } from './answers.ts';
import { count, msOf, rate, span } from './format.ts';
import { below, countsOf, percentile } from './histogram.tsx';
import { perSecond, useBefore, useMethod } from './live.ts';
import { Failures, failedOf, hrefOf, Loading, Silent, totalOf } from './parts.tsx';

const EVERY_MS = 2_000;

type Row = Route & { readonly rate: number; readonly failed: number };

export function Routes() {
  const live = useMethod<Answer>('ListRoutes', {}, EVERY_MS);
  const { data } = live;
  const { before, ms } = useBefore(data, live.at);
  const rows = (data?.routes ?? []).map((route): Row => {
    const was = before?.routes.find(({ match }) => match === route.match);
    const grown = (of: (outcomes: Route['outcomes']) => number): number =>
      perSecond(of(route.outcomes), was && of(was.outcomes), ms);
    return { ...route, rate: grown(totalOf), failed: grown(failedOf) };
  });
  return (
    <div class="stack">
      <h1>Routes</h1>
      <Loading live={live} what="the routes" />
      <Silent gateways={data?.silent_gateways ?? []} what="Their messages are not counted." />
      {data !== null && (
        <>
          <p class="soft">
            Counted for {span(msOf(data.counted_for))}: gateways count what comes of each rule while
            somebody looks, and for a minute longer.
          </p>
          <Table
            caption="Routes"
            columns={COLUMNS}
            rows={rows}
            keyOf={({ match }) => match}
            empty="There are no routes."
          />
        </>
      )}
    </div>
  );
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'match',
    title: 'Rule',
    by: ({ match }) => match,
    cell: ({ match }) =>
      match === '' ? <em>no rule matches</em> : <span class="mono">{match}</span>,
  },
  {
    id: 'backends',
    title: 'Backend',
    by: ({ backends }) => backends.join(' '),
    cell: ({ backends }) =>
      backends.length === 0
        ? '–'
        : backends.map((name) => (
            <div key={name}>
              <a class="mono" href={hrefOf('backends', name)}>
                {name}
              </a>
            </div>
          )),
  },
  {
    id: 'rate',
    title: 'A second',
    isNumber: true,
    by: (row) => row.rate,
    cell: (row) => rate(row.rate),
  },
  {
    id: 'failing',
    title: 'Failed a second',
    isNumber: true,
    by: (row) => row.failed,
    cell: (row) => rate(row.failed),
  },
  {
    id: 'all',
    title: 'Messages',
    isNumber: true,
    by: ({ outcomes }) => totalOf(outcomes),
    cell: ({ outcomes }) => count(totalOf(outcomes)),
  },
  {
    id: 'p50',
    title: 'p50',
    isNumber: true,
    by: (row) => of(row, 50) ?? 0,
    cell: (row) => below(of(row, 50), row.latency?.bounds.at(-1) ?? 0),
  },
  {
    id: 'p99',
    title: 'p99',
    isNumber: true,
    by: (row) => of(row, 99) ?? 0,
    cell: (row) => below(of(row, 99), row.latency?.bounds.at(-1) ?? 0),
  },
  {
    id: 'errors',
    title: 'Errors',
    by: ({ outcomes }) => failedOf(outcomes),
    cell: ({ outcomes }) => (failedOf(outcomes) === 0 ? '–' : <Failures outcomes={outcomes} />),
  },
];

function of({ latency }: Row, percent: number): number | null {
  return percentile({ bounds: latency?.bounds ?? [], counts: countsOf(latency) }, percent);
}
