/** The matrix: our own client, in each dialect over each transport. */
import { ClientError, PithClient } from '../../src/client/client.ts';
import { tcp } from '../../src/client/tcp.ts';
import { webSocket } from '../../src/client/websocket.ts';
import { WebSocket } from 'ws';
import { describeRow, type Driver, type Open } from './matrix-cells.ts';
import { type Row, ROWS } from './matrix.ts';

for (const row of ROWS.filter(({ client }) => client === 'pith/client'))
  describeRow(row.id, opening(row));

function opening({ dialect, transport }: Row): Open {
  return async ({ port, ca }) => {
    const isTcp = transport === 'TCP';
    const scheme = isTcp ? (ca ? 'tls' : 'tcp') : ca ? 'wss' : 'ws';
    const dial = isTcp
      ? tcp(ca === undefined ? {} : { ca })
      : webSocket((url) => new WebSocket(url, { ca }));
    const client = new PithClient(`${scheme}://localhost:${port}`, {
      dialect,
      dial,
      reconnect: false,
    });
    const pushes = new Map<string, unknown[]>();
    const watchers = new Set<() => void>();
    client.onPush('*', (body, { route }) => {
      pushes.set(route, [...(pushes.get(route) ?? []), body]);
      for (const look of watchers) look();
    });
    const kick = new Promise<unknown>((resolve) => {
      client.onKick(({ body }) => {
        resolve(body);
      });
    });
    await client.connect();
    return driverOf(client, kick, (route, n) => until(watchers, () => pushes.get(route)?.[n]));
  };
}

function driverOf(
  client: PithClient,
  kick: Promise<unknown>,
  push: (route: string, n: number) => Promise<unknown>,
): Driver {
  return {
    request: (route, body) => client.request(route, body),
    async refusal(route, body) {
      try {
        return await client.request(route, body);
      } catch (error) {
        if (error instanceof ClientError) return error.body;
        throw error;
      }
    },
    async notify(route, body) {
      client.notify(route, body);
    },
    push: (route, n = 0) => push(route, n),
    kicked: () => kick,
    async [Symbol.asyncDispose]() {
      await client.close();
    },
  };
}

function until<T>(watchers: Set<() => void>, find: () => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const look = (): void => {
      const found = find();
      if (found === undefined) return;
      watchers.delete(look);
      resolve(found);
    };
    watchers.add(look);
    look();
  });
}
