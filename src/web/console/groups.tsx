/** The groups that have members. */
import { useEffect, useState } from 'preact/hooks';

import { TextField } from '../shell/fields.tsx';
import { type Column, Table } from '../shell/table.tsx';
import type { Group } from './answers.ts';
import { count, plural } from './format.ts';
import { useList } from './live.ts';
import { Loading, Pages, Silent } from './parts.tsx';

const PAGE = 200;
const EVERY_MS = 5_000;

export function Groups() {
  const [prefix, setPrefix] = useState('');
  const [pages, setPages] = useState<readonly string[]>(['']);
  useEffect(() => {
    setPages(['']);
  }, [prefix]);
  const page_token = pages.at(-1)!;
  const live = useList<Group>('ListGroups', { prefix, limit: PAGE, page_token }, EVERY_MS);
  const groups = (live.data ?? []).filter(({ name }) => name !== '');
  const rest = live.data?.find(({ name }) => name === '');
  const next = rest?.next_page_token ?? '';
  return (
    <div class="stack">
      <h1>Groups</h1>
      <TextField
        label="Names that begin with"
        type="search"
        value={prefix}
        onInput={setPrefix}
        placeholder="room."
        class="search"
      />
      <Loading live={live} what="the groups" />
      <Silent gateways={rest?.silent_gateways ?? []} what="Their sessions are not counted." />
      {live.data !== null && (
        <>
          <Table
            caption="Groups"
            columns={COLUMNS}
            rows={groups}
            keyOf={({ name }) => name}
            empty="No group has members."
          />
          <Pages
            said={
              next === '' && pages.length === 1
                ? plural(groups.length, 'group')
                : `page ${pages.length}`
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

const COLUMNS: readonly Column<Group>[] = [
  {
    id: 'name',
    title: 'Group',
    by: ({ name }) => name,
    cell: ({ name }) => <span class="mono">{name}</span>,
  },
  {
    id: 'sessions',
    title: 'Sessions',
    isNumber: true,
    by: ({ sessions }) => sessions,
    cell: ({ sessions }) => count(sessions),
  },
  {
    id: 'gateways',
    title: 'Gateways',
    isNumber: true,
    by: ({ gateways }) => gateways,
    cell: ({ gateways }) => count(gateways),
  },
];
