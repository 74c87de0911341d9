/** One session: what it is, what it does, why it failed, and what can be done to it. */
import { useRef, useState } from 'preact/hooks';

import { Badge, CopyButton, Notice } from '../shell/notice.tsx';
import { Tabs } from '../shell/tabs.tsx';
import { KickDialog, PushDialog } from './actions.tsx';
import type { Failure, Session, Why } from './answers.ts';
import { Chart } from './chart.tsx';
import { bytes, clockTime, count, msOf, rate, span } from './format.ts';
import { perSecond, useBefore, useMethod } from './live.ts';
import { Facts, hrefOf, Loading, State } from './parts.tsx';
import { ageOf } from './sessions.tsx';
import { Watch } from './watch.tsx';

const EVERY_MS = 2_000;
const WHY_MS = 10_000;
/** Points of its charts: five minutes. */
const POINTS_MAX = 150;

export function SessionPage({ sid }: { readonly sid: string }) {
  const live = useMethod<Session>('GetSession', { sid, stats: true }, EVERY_MS);
  const [tab, setTab] = useState('now');
  const [dialog, setDialog] = useState('');
  const { data, error } = live;
  const hasEnded = error?.reason === 'NO_SESSION';
  const kept = useRef<Session | null>(null);
  if (data !== null) kept.current = data;
  const session = kept.current?.sid === sid ? kept.current : null;
  return (
    <div class="stack">
      <p class="crumbs">
        <a href={hrefOf('sessions')}>Sessions</a>
      </p>
      <div class="head">
        <h1 class="mono">{session?.uid || sid}</h1>
        {session?.stats !== undefined && (
          <State state={hasEnded ? 'closed' : session.stats.state} />
        )}
        <span class="actions">
          <button
            type="button"
            disabled={hasEnded || session === null}
            onClick={() => setDialog('push')}
          >
            Push …
          </button>
          <button
            type="button"
            class="danger"
            disabled={hasEnded || session === null}
            onClick={() => setDialog('kick')}
          >
            Kick …
          </button>
        </span>
      </div>
      {hasEnded ? (
        <Notice tone="warn">This session has ended. What is known of its failures is below.</Notice>
      ) : (
        <Loading live={live} what="the session" />
      )}
      <Tabs
        label="Of this session"
        tabs={[
          { id: 'now', title: 'Now' },
          { id: 'why', title: 'Last failures' },
          { id: 'watch', title: 'Watch' },
        ]}
        chosen={tab}
        onChoose={setTab}
      >
        {tab === 'now' && session !== null && <Now session={session} at={live.at} />}
        {tab === 'why' && <LastFailures about={sid} />}
        {tab === 'watch' && <Watch key={sid} sid={sid} hasEnded={hasEnded} />}
      </Tabs>
      {dialog === 'kick' && <KickDialog sid={sid} onClose={() => setDialog('')} />}
      {dialog === 'push' && <PushDialog sid={sid} onClose={() => setDialog('')} />}
    </div>
  );
}

type Point = { readonly at: number; readonly rate: number; readonly outbox: number };

function Now({ session, at }: { readonly session: Session; readonly at: number }) {
  const { stats } = session;
  const { before, ms } = useBefore(stats ?? null, at);
  const points = useRef<Point[]>([]);
  const perS =
    stats === undefined || before === null
      ? 0
      : perSecond(Number(stats.messages), Number(before.messages), ms);
  if (stats !== undefined && points.current.at(-1)?.at !== at)
    points.current = [
      ...points.current,
      { at, rate: perS, outbox: Number(stats.outbox_bytes) },
    ].slice(-POINTS_MAX);
  const times = points.current.map((point) => point.at);
  const trip = msOf(stats?.round_trip);
  return (
    <div class="stack">
      <Facts
        facts={[
          [
            'Sid',
            <>
              <span class="mono">{session.sid}</span> <CopyButton text={session.sid} />
            </>,
          ],
          ['Uid', session.uid || 'not bound'],
          ['Bound at', session.uid === '' ? '–' : clockTime(session.bound_at)],
          ['Gateway', <span class="mono">{session.gateway}</span>],
          ['Address', <span class="mono">{session.remote_ip}</span>],
          ['Client', `${session.client_type} ${session.client_version}`.trim() || 'unknown'],
          ['Speaks', `${session.dialect} over ${session.transport}`],
          ['Opened at', `${clockTime(session.opened_at)}, ${span(ageOf(session))} ago`],
          [
            'Messages',
            stats === undefined ? '–' : `${count(Number(stats.messages))}, ${rate(perS)} a second`,
          ],
          ['In flight', stats === undefined ? '–' : count(stats.in_flight)],
          ['Outbox', stats === undefined ? '–' : bytes(Number(stats.outbox_bytes))],
          ['Round trip', trip === 0 ? 'not measured' : span(trip)],
          ['Last heard', stats === undefined ? '–' : `${span(msOf(stats.silent_for))} ago`],
          [
            'Groups',
            session.groups.length === 0
              ? 'none'
              : session.groups.map((name) => <Badge key={name}>{name}</Badge>),
          ],
        ]}
      />
      <div class="charts">
        <Chart
          title="Messages a second"
          kind="line"
          times={times}
          series={[{ name: 'from the client', values: points.current.map((point) => point.rate) }]}
        />
        <Chart
          title="Outbox"
          kind="line"
          times={times}
          unit=" B"
          series={[{ name: 'not sent yet', values: points.current.map((point) => point.outbox) }]}
        />
      </div>
      <section>
        <h2>Data</h2>
        <pre class="card code">{JSON.stringify(session.data ?? {}, null, 2)}</pre>
      </section>
    </div>
  );
}

function LastFailures({ about }: { readonly about: string }) {
  const live = useMethod<Why>('Why', { about }, WHY_MS);
  if (live.data === null) return <Loading live={live} what="its failures" />;
  const failures = live.data.failures.toReversed();
  if (failures.length === 0) return <p class="empty">Nothing of it has failed.</p>;
  return (
    <ol class="failures">
      {failures.map((one) => (
        <FailureCard key={one.ref + (one.at ?? '')} failure={one} />
      ))}
    </ol>
  );
}

function FailureCard({ failure }: { readonly failure: Failure }) {
  const { at, what, code, reason, route, rule, backend, address, cause, message, by, advice, ref } =
    failure;
  const facts: (readonly [string, string])[] = [
    ['Message', message],
    ['Cause', cause],
    ['What to do', advice],
    ['Rule', rule],
    ['Backend', [backend, address].filter((text) => text !== '').join(' at ')],
    ['Took', failure.took === undefined ? '' : span(msOf(failure.took))],
    ['Ended by', by],
    ['Ref', ref],
  ];
  return (
    <li class="card failure">
      <div class="head">
        <Badge tone="bad">
          {code === 0 ? '' : `${code} `}
          {reason}
        </Badge>
        <strong class="mono">{route || what}</strong>
        <span class="when">{clockTime(at)}</span>
      </div>
      <Facts facts={facts.filter(([, value]) => value !== '')} />
    </li>
  );
}
