/** The matrix: Pitaya's own client for Go, over TCP and WebSocket. */
import { beforeAll } from 'vitest';

import { skipReason } from './backends.ts';
import { BUILD_MS, buildModule } from './go-module.ts';
import { describeRow, type Driver, type Place } from './matrix-cells.ts';
import { PitayaClient } from './pitaya-client.ts';

const missing = skipReason(['go']);

beforeAll(async () => {
  if (missing === undefined) await buildModule('pitaya-go');
}, BUILD_MS);

describeRow('pitaya-go-tcp', missing ?? ((place) => open(place, {})));
describeRow('pitaya-go-ws', missing ?? ((place) => open(place, { path: '/' })));

async function open({ port, ca }: Place, how: { readonly path?: string }): Promise<Driver> {
  const client = await PitayaClient.connect(port, { ...how, ...(ca !== undefined && { ca }) });
  return {
    async request(route, body) {
      const { body: answer, isErr } = await client.request(route, body);
      if (isErr) throw new Error(`${route}: ${JSON.stringify(answer)}`);
      return answer;
    },
    async refusal(route, body) {
      const { body: answer, isErr } = await client.request(route, body);
      if (!isErr) throw new Error(`${route} is no error: ${JSON.stringify(answer)}`);
      return answer;
    },
    async notify(route, body) {
      client.notify(route, body);
    },
    push: (route, n) => client.push(route, n),
    // It closes the connection by itself; that is seen on the line.
    kicked: async () => undefined,
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
