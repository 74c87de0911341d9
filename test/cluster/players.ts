/**
 * Players of a fleet: each joins a room, sends every 250 ms, and connects again when its connection ends, to any gateway
 * that is ready, as a Service would choose. What happened to them is written to FILE five times a second.
 * Runs inside the cluster's network:   node players.ts FILE NAMESPACE SERVICE COUNT PORT SCHEME
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { ClientError, PithClient } from '../../src/client/client.ts';
import { apiGet, type EndpointSlice } from './api.ts';

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

const [file, namespace, service, count, port, scheme] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const PERIOD_MS = 250;
const seen: Seen = { connected: 0, answers: {}, unanswered: {}, ends: [], refused: 0 };
let gateways: string[] = [];

await Promise.all([
  follow(),
  report(),
  ...Array.from({ length: Number(count) }, (_, player) => play(player)),
]);

/** The addresses of the Service's ready pods. */
async function follow(): Promise<never> {
  for (;;) {
    const { items } = await apiGet<{ items: EndpointSlice[] }>(
      `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices` +
        `?labelSelector=kubernetes.io%2Fservice-name%3D${service}`,
    ).catch(() => ({ items: [] }));
    gateways = items
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions }) => conditions.ready)
      .map(({ addresses }) => addresses[0]!);
    await sleep(200);
  }
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
  const client = new PithClient(`${scheme}://${gateway}:${port}`, { reconnect: false });
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
  const room = { name: `p${player}`, room: `r${player % 3}` };
  let isIn = false;
  while (isOpen) {
    // The chat may be away for a moment.
    if (isIn) await ask(client, 'chat.room.send', { text: 'hello' });
    else isIn = (await ask(client, 'chat.room.join', room)) === 200;
    await Promise.race([sleep(PERIOD_MS), watch]);
  }
  await watch;
}

/** The answer's code; undefined: there was none. */
async function ask(client: PithClient, route: string, body: object): Promise<number | undefined> {
  try {
    const { code } = await client.request<{ code?: number }>(route, body);
    seen.answers[String(code)] = (seen.answers[String(code)] ?? 0) + 1;
    return code;
  } catch (error) {
    const reason = error instanceof ClientError ? error.reason : String(error);
    seen.unanswered[reason] = (seen.unanswered[reason] ?? 0) + 1;
    return undefined;
  }
}
