/** The backends: added up over the gateways, and each of them as one gateway sees it. */
import { useState } from 'preact/hooks';

import { type Column, Table } from '../shell/table.tsx';
import { Badge, Notice } from '../shell/notice.tsx';
import type { Address, Backend, Backends as Answer } from './answers.ts';
import { clockTime, count, plural, rate } from './format.ts';
import { below, countsOf, Histogram, percentile, Percentiles } from './histogram.tsx';
import { perSecond, useBefore, useMethod } from './live.ts';
import { Failures, failedOf, hrefOf, Loading, Silent, State, totalOf } from './parts.tsx';

const EVERY_MS = 3_000;

export function Backends({ name }: { readonly name: string }) {
  const live = useMethod<Answer>('ListBackends', {}, EVERY_MS);
  const { data } = live;
  const { before, ms } = useBefore(data, live.at);
  if (data === null)
    return (
      <div class="stack">
        <h1>Backends</h1>
        <Loading live={live} what="the backends" />
      </div>
    );
  const sums = sumsOf(data.backends, before?.backends ?? [], ms);
  const one = sums.find((sum) => sum.name === name);
  return (
    <div class="stack">
      {name !== '' && (
        <p class="crumbs">
          <a href={hrefOf('backends')}>Backends</a>
        </p>
      )}
      <h1 class={name === '' ? '' : 'mono'}>{name === '' ? 'Backends' : name}</h1>
      <Silent gateways={data.silent_gateways} what="What they see is missing." />
      {data.more && (
        <Notice tone="warn">
          There are more than fit into one answer: some gateways are missing.
        </Notice>
      )}
      {name === '' && (
        <Table
          caption="Backends"
          columns={COLUMNS}
          rows={sums}
          keyOf={(row) => row.name}
          empty="No backend is configured."
        />
      )}
      {name !== '' && one === undefined && (
        <p class="empty">No gateway has a backend of this name.</p>
      )}
      {one !== undefined && <OneBackend sum={one} />}
    </div>
  );
}

/** One backend, as all gateways see it together. */
type Sum = {
  readonly name: string;
  readonly parts: readonly Backend[];
  readonly perSecond: number;
  readonly failedPerSecond: number;
};

function sumsOf(backends: readonly Backend[], before: readonly Backend[], ms: number): Sum[] {
  const names = [...new Set(backends.map(({ name }) => name))];
  return names.map((name) => {
    const parts = backends.filter((one) => one.name === name);
    const grown = (of: (outcomes: Backend['outcomes']) => number): number =>
      parts.reduce((sum, { gateway, outcomes }) => {
        const was = before.find((one) => one.name === name && one.gateway === gateway);
        return sum + perSecond(of(outcomes), was && of(was.outcomes), ms);
      }, 0);
    return { name, parts, perSecond: grown(totalOf), failedPerSecond: grown(failedOf) };
  });
}

function add(parts: readonly Backend[], of: (one: Backend) => number): number {
  return parts.reduce((sum, one) => sum + of(one), 0);
}

function latencyOf(parts: readonly Backend[]): number[] {
  const all = parts.map(({ latency }) => countsOf(latency)).filter((counts) => counts.length > 0);
  return (all[0] ?? []).map((_, i) => all.reduce((sum, counts) => sum + (counts[i] ?? 0), 0));
}

function stateOf({ parts }: Sum): string {
  if (parts.some(({ breaker }) => breaker === 'open')) return 'open';
  const healthy = add(parts, (one) => one.healthy);
  const all = add(parts, (one) => one.address_count);
  return healthy === 0 ? 'away' : healthy < all ? 'partly up' : 'up';
}

function lastFailureOf({ parts }: Sum): NonNullable<Backend['last_failure']> | undefined {
  return parts
    .flatMap((one) => (one.last_failure === undefined ? [] : [one.last_failure]))
    .toSorted((a, b) => (a.at ?? '').localeCompare(b.at ?? ''))
    .at(-1);
}

const COLUMNS: readonly Column<Sum>[] = [
  {
    id: 'name',
    title: 'Backend',
    by: ({ name }) => name,
    cell: ({ name }) => (
      <a class="mono" href={hrefOf('backends', name)}>
        {name}
      </a>
    ),
  },
  {
    id: 'kind',
    title: 'Kind',
    by: ({ parts }) => parts[0]!.kind,
    cell: ({ parts }) => parts[0]!.kind,
  },
  {
    id: 'state',
    title: 'State',
    by: stateOf,
    cell: (sum) =>
      stateOf(sum) === 'open' ? (
        <Badge tone="bad">breaker open</Badge>
      ) : (
        <State state={stateOf(sum)} />
      ),
  },
  {
    id: 'healthy',
    title: 'Healthy',
    isNumber: true,
    by: ({ parts }) => add(parts, (one) => one.healthy),
    cell: ({ parts }) =>
      `${count(add(parts, (one) => one.healthy))} of ${count(add(parts, (one) => one.address_count))}`,
  },
  {
    id: 'flight',
    title: 'In flight',
    isNumber: true,
    by: ({ parts }) => add(parts, (one) => one.in_flight),
    cell: ({ parts }) => count(add(parts, (one) => one.in_flight)),
  },
  {
    id: 'rate',
    title: 'A second',
    isNumber: true,
    by: (sum) => sum.perSecond,
    cell: (sum) => rate(sum.perSecond),
  },
  {
    id: 'failed',
    title: 'Failed a second',
    isNumber: true,
    by: (sum) => sum.failedPerSecond,
    cell: (sum) => rate(sum.failedPerSecond),
  },
  {
    id: 'p99',
    title: 'p99',
    isNumber: true,
    by: (sum) => p99(sum) ?? 0,
    cell: (sum) => below(p99(sum), boundsOf(sum).at(-1) ?? 0),
  },
  {
    id: 'last',
    title: 'Last failure',
    cell: (sum) => {
      const last = lastFailureOf(sum);
      return last === undefined ? (
        '–'
      ) : (
        <div class="wide">{`${clockTime(last.at)} ${last.why}`}</div>
      );
    },
  },
];

function boundsOf({ parts }: Sum): readonly number[] {
  return parts.find(({ latency }) => latency !== undefined)?.latency?.bounds ?? [];
}

function p99(sum: Sum): number | null {
  return percentile({ bounds: boundsOf(sum), counts: latencyOf(sum.parts) }, 99);
}

function OneBackend({ sum }: { readonly sum: Sum }) {
  const [chosen, choose] = useState('');
  const parts = chosen === '' ? sum.parts : sum.parts.filter(({ gateway }) => gateway === chosen);
  const counts = latencyOf(parts);
  const latency = parts.find((one) => one.latency !== undefined)?.latency;
  const last = lastFailureOf({ ...sum, parts });
  const addresses = parts.flatMap(({ gateway, addresses: all }) =>
    all.map((one) => ({ ...one, gateway })),
  );
  const shown = add(parts, (one) => one.address_count);
  return (
    <>
      {sum.parts.length > 1 && (
        <label class="field pick">
          <span>As seen by</span>
          <select value={chosen} onChange={({ currentTarget }) => choose(currentTarget.value)}>
            <option value="">all gateways</option>
            {sum.parts.map(({ gateway }) => (
              <option key={gateway} value={gateway}>
                {gateway}
              </option>
            ))}
          </select>
        </label>
      )}
      {last !== undefined && (
        <Notice tone="warn">
          Last failure, {clockTime(last.at)}, {last.route}: {last.reason}. {last.why}
        </Notice>
      )}
      <div class="charts">
        <section class="card pad">
          <h2>Calls</h2>
          <p>
            {count(add(parts, ({ outcomes }) => totalOf(outcomes)))} since the start,{' '}
            {rate(sum.perSecond)} a second
          </p>
          {parts.map(({ gateway, outcomes, breaker }) => (
            <p key={gateway}>
              {sum.parts.length > 1 && <span class="mono soft">{gateway} </span>}
              {breaker !== '' && (
                <Badge tone={breaker === 'open' ? 'bad' : 'good'}>breaker {breaker}</Badge>
              )}{' '}
              <Failures outcomes={outcomes} />
            </p>
          ))}
        </section>
        <section class="card pad">
          <h2>How long requests took</h2>
          {latency === undefined || counts.every((n) => n === 0) ? (
            <p class="empty">No request yet.</p>
          ) : (
            <>
              <Percentiles latency={latency} counts={counts} />
              <Histogram latency={latency} counts={counts} />
            </>
          )}
        </section>
      </div>
      <h2>{plural(shown, 'address', 'addresses')}</h2>
      <Table
        caption="Addresses"
        columns={ADDRESS_COLUMNS}
        rows={addresses}
        keyOf={(one) => `${one.gateway} ${one.address} ${one.instance} ${addresses.indexOf(one)}`}
        empty="It has no addresses."
      />
    </>
  );
}

type AddressRow = Address & { readonly gateway: string };

const ADDRESS_COLUMNS: readonly Column<AddressRow>[] = [
  {
    id: 'address',
    title: 'Address',
    by: ({ address }) => address,
    cell: ({ address, instance }) => (
      <>
        <span class="mono">{address}</span>
        {instance !== '' && <div class="soft">{instance}</div>}
      </>
    ),
  },
  {
    id: 'state',
    title: 'State',
    by: ({ state }) => state,
    cell: ({ state, healthy }) => (
      <>{healthy ? <Badge tone="good">{state}</Badge> : <State state={state} />}</>
    ),
  },
  {
    id: 'sessions',
    title: 'Sessions',
    isNumber: true,
    by: ({ sessions }) => sessions,
    cell: ({ sessions }) => count(sessions),
  },
  {
    id: 'flight',
    title: 'In flight',
    isNumber: true,
    by: (one) => one.in_flight,
    cell: (one) => count(one.in_flight),
  },
  {
    id: 'why',
    title: 'Why',
    cell: ({ why }) => (why === '' ? '–' : <div class="wide">{why}</div>),
  },
  {
    id: 'gateway',
    title: 'Seen by',
    by: ({ gateway }) => gateway,
    cell: ({ gateway }) => <span class="mono">{gateway}</span>,
  },
];
