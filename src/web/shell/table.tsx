/** A table that can be sorted by its heads; on a narrow screen it scrolls sideways by itself. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

export type Column<Row> = {
  readonly id: string;
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** What it is sorted by; absent: it is not. */
  readonly by?: (row: Row) => string | number;
  /** Right-aligned, of digits of equal width. */
  readonly isNumber?: boolean;
};

export type TableProps<Row> = {
  /** What is in it, for those who do not see it. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** Shown when there are no rows. */
  readonly empty: ComponentChildren;
};

type Order = { readonly id: string; readonly isDown: boolean };

export function Table<Row>({ caption, columns, rows, keyOf, empty }: TableProps<Row>) {
  const [order, setOrder] = useState<Order | null>(null);
  const by = columns.find(({ id }) => id === order?.id)?.by;
  const sorted = by === undefined ? rows : rows.toSorted((a, b) => compare(by(a), by(b), order!));
  return (
    <section class="table" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head key={column.id} column={column} order={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ id, cell, isNumber }) => (
                <td key={id} class={isNumber === true ? 'number' : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <div class="empty">{empty}</div>}
    </section>
  );
}

function Head<Row>({
  column: { id, title, by, isNumber },
  order,
  onOrder,
}: {
  readonly column: Column<Row>;
  readonly order: Order | null;
  readonly onOrder: (order: Order) => void;
}) {
  const isDown = order?.id === id ? order.isDown : undefined;
  const sort = isDown === undefined ? 'none' : isDown ? 'descending' : 'ascending';
  const name = isNumber === true ? 'number' : undefined;
  if (by === undefined)
    return (
      <th scope="col" class={name}>
        {title}
      </th>
    );
  return (
    <th scope="col" class={name} aria-sort={sort}>
      <button
        type="button"
        onClick={() => {
          onOrder({ id, isDown: isDown === undefined ? isNumber === true : !isDown });
        }}
      >
        {title}
        <span aria-hidden="true">{isDown === undefined ? '' : isDown ? ' ↓' : ' ↑'}</span>
      </button>
    </th>
  );
}

function compare(a: string | number, b: string | number, { isDown }: Order): number {
  const order =
    typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
  return isDown ? -order : order;
}
