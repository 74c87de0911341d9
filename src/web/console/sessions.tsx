/** The sessions of the fleet: a page of them, and those that are searched for. */
import { useEffect, useState } from 'preact/hooks';

import { after, now } from '../shell/clock.ts';
import { TextField } from '../shell/fields.tsx';
import { type Column, Table } from '../shell/table.tsx';
import type { Session } from './answers.ts';
import { bytes, count, msOf, plural, span } from './format.ts';
import { useList } from './live.ts';
import { hrefOf, Loading, Pages, Silent, State } from './parts.tsx';

const PAGE = 100;
const EVERY_MS = 5_000;
/** After the last key. */
const TYPED_MS = 250;

export function Sessions({
  search,
  onSearch,
}: {
  readonly search: string;
  readonly onSearch: (text: string) => void;
}) {
  const [typed, setTyped] = useState(search);
  /** The tokens of the pages before, the first one's first. */
  const [pages, setPages] = useState<readonly string[]>(['']);
  useEffect(() => {
    setTyped(search);
    setPages(['']);
  }, [search]);
  useEffect(
    () => (typed === search ? undefined : after(TYPED_MS, () => onSearch(typed))),
    [typed, search],
  );
  const page_token = pages.at(-1)!;
  const live = useList<Session>(
    'ListSessions',
    { search, limit: PAGE, page_token, stats: true },
    EVERY_MS,
  );
  const sessions = (live.data ?? []).filter(({ sid }) => sid !== '');
  const rest = live.data?.at(-1)?.rest;
  const next = rest?.next_page_token ?? '';
  const first = (pages.length - 1) * PAGE + 1;
  return (
    <div class="stack">
      <h1>Sessions</h1>
      <TextField
        label="Search by uid, sid or address"
        type="search"
        value={typed}
        onInput={setTyped}
        placeholder="player-42, gw-x.17, 203.0.113."
        class="search"
      />
      <Loading live={live} what="sessions" />
      <Silent gateways={rest?.silent_gateways ?? []} what="Their sessions are missing." />
      {live.data !== null && (
        <>
          <Table
            caption="Sessions"
            columns={COLUMNS}
            rows={sessions}
            keyOf={({ sid }) => sid}
            empty={
              search === ''
                ? 'Nobody is connected.'
                : `No session has “${search}” in its uid or sid, or at the beginning of its address.`
            }
          />
          <Pages
            said={
              next === '' && pages.length === 1
                ? plural(sessions.length, 'session')
                : `${count(first)} to ${count(first + sessions.length - 1)}`
            }
            pages={pages}
            next={next}
            onTurn={setPages}
          />
        </>
      )}
    </div>
  );
}

const COLUMNS: readonly Column<Session>[] = [
  {
    id: 'uid',
    title: 'Uid',
    by: ({ uid }) => uid,
    cell: ({ uid, sid }) => <a href={hrefOf('sessions', sid)}>{uid || 'not bound'}</a>,
  },
  {
    id: 'sid',
    title: 'Sid',
    by: ({ sid }) => sid,
    cell: ({ sid }) => (
      <a class="mono" href={hrefOf('sessions', sid)}>
        {sid}
      </a>
    ),
  },
  {
    id: 'address',
    title: 'Address',
    by: (one) => one.remote_ip,
    cell: (one) => <span class="mono">{one.remote_ip}</span>,
  },
  {
    id: 'state',
    title: 'State',
    by: ({ stats }) => stats?.state ?? '',
    cell: ({ stats }) => (stats === undefined ? '–' : <State state={stats.state} />),
  },
  {
    id: 'client',
    title: 'Client',
    by: (one) => one.client_type,
    cell: (one) => `${one.client_type} ${one.client_version}`.trim() || '–',
  },
  {
    id: 'how',
    title: 'How',
    by: ({ transport }) => transport,
    cell: ({ transport, dialect }) => `${dialect}, ${transport}`,
  },
  {
    id: 'since',
    title: 'Open for',
    isNumber: true,
    by: (one) => ageOf(one),
    cell: (one) => span(ageOf(one)),
  },
  {
    id: 'messages',
    title: 'Messages',
    isNumber: true,
    by: ({ stats }) => Number(stats?.messages ?? 0),
    cell: ({ stats }) => (stats === undefined ? '–' : count(Number(stats.messages))),
  },
  {
    id: 'outbox',
    title: 'Outbox',
    isNumber: true,
    by: ({ stats }) => Number(stats?.outbox_bytes ?? 0),
    cell: ({ stats }) => (stats === undefined ? '–' : bytes(Number(stats.outbox_bytes))),
  },
  {
    id: 'silent',
    title: 'Silent for',
    isNumber: true,
    by: ({ stats }) => msOf(stats?.silent_for),
    cell: ({ stats }) => (stats === undefined ? '–' : span(msOf(stats.silent_for))),
  },
  {
    id: 'groups',
    title: 'Groups',
    isNumber: true,
    by: ({ groups }) => groups.length,
    cell: ({ groups }) => count(groups.length),
  },
];

export function ageOf({ opened_at: at }: Session): number {
  return at === undefined ? 0 : Math.max(0, now() - Date.parse(at));
}
