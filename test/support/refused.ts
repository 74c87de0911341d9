/** What a gateway says of a connection that it has turned away. */
import { expect } from 'vitest';

import { REFUSALS, type RefusedConnection } from '../../src/transport/refused.ts';
import type { TestGateway } from './gateway.ts';
import { eventually } from './wait.ts';

/** Waits until one connection was turned away so, and looks at its line in the log; `fields`: more of it. */
export async function expectRefusedAs(
  gateway: TestGateway,
  why: RefusedConnection,
  fields: Record<string, unknown> = {},
): Promise<void> {
  await eventually(
    () => gateway.count('pith_connections_refused_total', why) === 1,
    `the count of ${why}`,
  );
  expect(gateway.log).toContainEqual(
    expect.objectContaining({
      level: 'info',
      msg: 'connection refused',
      why,
      what: REFUSALS[why],
      remoteAddress: '127.0.0.1',
      ...fields,
    }),
  );
}
