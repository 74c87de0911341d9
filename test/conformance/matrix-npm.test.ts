/** The matrix: published clients that run in Node, each in a process of its own. */
import { NpmClient } from '../support/npm-clients.ts';
import { describeRow, type Driver, type Place } from './matrix-cells.ts';

const PACKAGES = {
  nodejsclient: 'pomelo-nodejsclient-websocket',
  'client-websocket': 'pomelo-client-websocket',
};

for (const [id, name] of Object.entries(PACKAGES)) {
  describeRow(id, async (place) => open(name, place));
}

async function open(name: string, { port }: Place): Promise<Driver> {
  const client = await NpmClient.connect(name, port);
  return {
    request: (route, body) => client.request(route, body),
    refusal: (route, body) => client.request(route, body),
    async notify(route, body) {
      client.notify(route, body);
    },
    push: async (route, n = 0) => (await client.event(route, n))[0],
    async kicked() {
      const [why] = await client.event('onKick');
      await client.event('close');
      return why;
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
