/**
 * Players of a fleet: each joins a room, sends every 250 ms, and connects again when its connection ends, to any gateway
 * that is ready, as a Service would choose. What happened to them is written to FILE five times a second.
 * Runs inside the cluster's network:   node players.ts FILE NAMESPACE SERVICE COUNT PORT
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ClientError, PithClient } from '../../src/client/client.ts';

/** What the players have seen so far. */
export type Seen = {
  connected: number;
  /** Answers by code. */
  answers: Record<string, number>;
  /** Requests that got no answer, by the client's reason. */
  unanswered: Record<string, number>;
  ends: { player: number; gateway: string; atMs: number; reason: string }[];
  /** Connections that could not be made. */
  refused: number;
};

const [file, namespace, service, count, port] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const PERIOD_MS = 250;
const seen: Seen = { connected: 0, answers: {}, unanswered: {}, ends: [], refused: 0 };
let gateways: string[] = [];

const pki = join(dirname(process.env['KUBECONFIG']!), 'pki');
const agent = new https.Agent({
  keepAlive: true,
  ca: readFileSync(join(pki, 'ca.crt')),
  cert: readFileSync(join(pki, 'admin.crt')),
  key: readFileSync(join(pki, 'admin.key')),
});

await Promise.all([
  follow(),
  report(),
  ...Array.from({ length: Number(count) }, (_, player) => play(player)),
]);

/** The addresses of the Service's ready pods. */
async function follow(): Promise<never> {
  for (;;) {
    const text = await getText(
      `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices` +
        `?labelSelector=kubernetes.io%2Fservice-name%3D${service}`,
    ).catch(() => '{"items":[]}');
    const { items } = JSON.parse(text) as {
      items: { endpoints: { addresses: string[]; conditions: { ready: boolean } }[] | null }[];
    };
    gateways = items
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions }) => conditions.ready)
      .map(({ addresses }) => addresses[0]!);
    await sleep(200);
  }
}

function getText(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    https
      .get(`https://127.0.0.1:41510${path}`, { agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('end', () => {
          resolve(text);
        });
      })
      .on('error', reject);
  });
}

async function report(): Promise<never> {
  for (;;) {
    writeFileSync(`${file}.new`, JSON.stringify(seen));
    renameSync(`${file}.new`, file);
    await sleep(200);
  }
}

async function play(player: number): Promise<never> {
  for (;;) {
    const gateway = gateways[Math.floor(Math.random() * gateways.length)];
    if (gateway !== undefined) await playOn(player, gateway);
    await sleep(100 + Math.random() * 400);
  }
}

/** One connection, to its end. */
async function playOn(player: number, gateway: string): Promise<void> {
  const client = new PithClient(`ws://${gateway}:${port}`, { reconnect: false });
  const ended = new Promise<string>((resolve) => {
    client.onState(({ state, error }) => {
      if (state === 'closed') resolve(error?.message ?? 'closed');
    });
  });
  try {
    await client.connect();
  } catch {
    seen.refused++;
    return;
  }
  seen.connected++;
  let isOpen = true;
  const watch = ended.then((reason) => {
    isOpen = false;
    seen.connected--;
    seen.ends.push({ player, gateway, atMs: Date.now(), reason });
  });
  await ask(client, 'chat.room.join', { name: `p${player}`, room: `r${player % 3}` });
  while (isOpen) {
    await ask(client, 'chat.room.send', { text: 'hello' });
    await Promise.race([sleep(PERIOD_MS), watch]);
  }
  await watch;
}

async function ask(client: PithClient, route: string, body: object): Promise<void> {
  try {
    const { code } = await client.request<{ code?: number }>(route, body);
    seen.answers[String(code)] = (seen.answers[String(code)] ?? 0) + 1;
  } catch (error) {
    const reason = error instanceof ClientError ? error.reason : String(error);
    seen.unanswered[reason] = (seen.unanswered[reason] ?? 0) + 1;
  }
}
