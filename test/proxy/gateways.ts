/** Two gateways behind a proxy: the real process, with the listeners that deploy/proxies/README.md gives it. */
import { admin } from '../support/admin.ts';
import { serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import type { GatewayPorts } from './proxies.ts';

const CONFIG = `
listen:
  - { url: "auto://127.0.0.1:0", proxy_protocol: required, trusted_proxies: [127.0.0.1] }
  - { url: "ws://127.0.0.1:0", trusted_proxies: [127.0.0.1] }
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

export type Gateways = AsyncDisposable & {
  readonly ports: readonly [GatewayPorts, GatewayPorts];
  readonly both: readonly [Served, Served];
  /** The addresses of a gateway's clients. */
  addresses(which: 0 | 1): Promise<string[]>;
  /** How many clients each has. */
  counts(): Promise<[number, number]>;
};

/** @param drain What the gateways do after SIGTERM. */
export async function startGateways(drain: string): Promise<Gateways> {
  const both = await Promise.all([
    serve(`${CONFIG}drain: ${drain}\n`),
    serve(`${CONFIG}drain: ${drain}\n`),
  ]);
  const addresses = async (which: 0 | 1): Promise<string[]> => {
    const { lines } = await admin(both[which], 'ListSessions');
    return lines.map((line) => line['remote_ip'] as string);
  };
  return {
    both,
    ports: [portsOf(both[0]), portsOf(both[1])],
    addresses,
    counts: async () => [(await addresses(0)).length, (await addresses(1)).length],
    async [Symbol.asyncDispose]() {
      await Promise.all(
        both.map(async ({ running }) => {
          // A drain in the middle would take its time.
          running.kill('SIGKILL');
          await running.exited;
        }),
      );
      await Promise.all(both.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

function portsOf({ clients, healthPort }: Served): GatewayPorts {
  const [tcp = 0, web = 0] = clients.map((url) => Number(url.split(':').pop()));
  return { tcp, web, health: healthPort };
}

/** Waits until the gateways have so many clients, in either order. */
export async function untilCounts(
  gateways: Gateways,
  wanted: readonly [number, number],
): Promise<void> {
  await eventually(
    async () => String(await gateways.counts()) === String(wanted),
    `the gateways to have ${wanted[0]} and ${wanted[1]} clients`,
  );
}
