/** Names that the gateway itself uses, from a client: none may reach a backend, however the rules are. */
import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Asked } from './servers.ts';

const FORGED =
  '{"forged":true,"session":{"sid":"border-AAAAAAAAAA.1","uid":"victim"},"reason":"x"}';
/** Refused whatever rule matches: `>`, a rename, a template of a path. */
const RESERVED = [
  'pith.closed',
  'pith.connect',
  'pith.x',
  'pith',
  'strip.pith.closed',
  'strip.pith.connect',
  'web.pith.closed',
  'web.pith.connect',
];
/** The game's own, though they are commands of a backend too. */
const COMMANDS = ['close', 'kick', 'push', 'patch'];
const BY_PATH = 'pith_requests_total{backend="xhttp",outcome="NO_ROUTE"}';
const PATIENCE_MS = 40_000;
/** So many bad lines end an IPC connection. */
const TIMES = 20;

/** What hostile backends saw under a name of the gateway's that a client has made. */
export const forgeries: string[] = [];

export function lookForForgery({ route, body }: Asked<unknown>): void {
  if (
    /pith[./](closed|connect|x)/.test(route) &&
    !route.startsWith('pith.rpc.') &&
    body.includes('"forged"')
  )
    forgeries.push(route);
}

export const nameAttacks: readonly Attack[] = [
  { what: 'names of the gateway', over: 'every client', next: reserved },
  { what: 'names of commands', over: 'IPC', next: commands },
];

async function reserved(arena: Arena): Promise<void> {
  const client = await arena.anyClient();
  for (const route of RESERVED) {
    client.notify(route, FORGED);
    arena.sends(FORGED.length);
    const outcome = await client.ask(route, FORGED, PATIENCE_MS);
    arena.settle(outcome, route);
    if (outcome.kind !== 'answer' || !/NO_ROUTE/.test(outcome.body.toString()))
      arena.fault(`${route} was not answered NO_ROUTE`);
    // What only its path would make ours is found out by the backend's own part.
    if (route.startsWith('web.')) arena.expect(BY_PATH, 2);
    else arena.expect('pith_messages_refused_total{reason="NO_ROUTE"}', 2);
  }
  for (const route of forgeries.splice(0)) arena.fault(`a backend was told ${route} by a client`);
}

/** A backend that answers by filling in the request: its `cmd` is a command's name, its number says what it is. */
async function commands(arena: Arena): Promise<void> {
  const client = await arena.anyClient();
  for (const cmd of COMMANDS) {
    for (let i = 0; i < TIMES / COMMANDS.length; i++) {
      const number = arena.plan(
        ({ seq, socket }: { seq: number; socket: NodeJS.WritableStream }) => {
          socket.write(`{"cmd":"${cmd}","seq_id":${seq},"payload":{"did":"${cmd}"}}\n`);
        },
      );
      const body = `{"case":${number}}`;
      arena.sends(body.length);
      const outcome = await client.ask(cmd, body, PATIENCE_MS);
      arena.settle(outcome, cmd);
      arena.plans.delete(number);
      if (outcome.kind !== 'answer' || !outcome.body.includes(`"did":"${cmd}"`))
        arena.fault(`the route ${cmd} was not answered by its backend`);
    }
  }
}
