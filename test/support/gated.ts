/** Gateways with a gate, each on a port that it advertises. */
import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { freePort } from './process.ts';

export const QUERY = 'gate.gateHandler.queryEntry';

/** What it advertises: the real port to WebSocket, one of its own to TCP. */
export function gatedYaml(id: string, bus: string, port: number): string {
  return `
id: ${id}
bus: ${bus}
backends: { gate: { gate: { advertise: { ws: "127.0.0.1:${port}", tcp: "${id}.example.com:${port}" } } } }
routes: [{ match: "${QUERY}", backend: gate }]
`;
}

export async function startGated(id: string, bus: string, more = ''): Promise<TestGateway> {
  const port = await freePort();
  return startGateway(
    `listen: [{ url: "auto://127.0.0.1:${port}" }]\n${gatedYaml(id, bus, port)}${more}`,
  );
}

/** How many gateways with a gate it knows, itself among them, and how many of them take clients. */
export function gates({ gateway }: TestGateway): string {
  const { healthy, addresses } = gateway.info().backends[0]!;
  return `${healthy} of ${addresses}`;
}

/** The ports that a new client is told, so often one after another. */
export async function portsTold(gateway: TestGateway, times: number): Promise<Set<unknown>> {
  await using client = await TestClient.connect(gateway.port, 'ws');
  const ports = new Set<unknown>();
  for (let i = 0; i < times; i++) ports.add((await client.request(QUERY))['port']);
  return ports;
}
