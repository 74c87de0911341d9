/**
 * The attacking process: the hostile backends and clients, which do what the test's process tells them. Apart from
 * the bystanders, so that what it costs to make a bad message falls on nobody else.
 */
import type { Shape } from '../support/grpc-shapes.ts';
import { Arena, type Ports, type Tally } from './arena.ts';
import { attackOf } from './attacks.ts';
import { lookForForgery } from './attacks-names.ts';
import { Chance } from './chance.ts';
import type { Places } from './config.ts';
import {
  type Asked,
  caseOf,
  dialGrpc,
  dialWebSocket,
  grpcServer,
  httpServer,
  ipcServer,
  methodServer,
  natsServer,
  type Running,
} from './servers.ts';

export type Told =
  | { readonly tell: 'open'; readonly natsPort: number; readonly ipcPath: string }
  | { readonly tell: 'attach' | 'look'; readonly ports: Ports }
  | {
      readonly tell: 'attack';
      readonly name: string;
      readonly seed: string;
      readonly cases: number;
      /** Few cases are begun after this; milliseconds. */
      readonly ms: number;
      readonly largest: number;
      readonly isLong: boolean;
    };
export type Said =
  | { readonly said: 'opened'; readonly places: Places['x'] }
  | { readonly said: 'attached' }
  | { readonly said: 'done'; readonly tally: Tally };

/** What is made by chance comes after what is made on purpose, and is not to be left out for it. */
const CASES_MIN = 5;

const plans = new Map<number, unknown>();
const links: ((message: Buffer | Shape) => void)[] = [];
let nats: Awaited<ReturnType<typeof natsServer>>;
let ports: Ports;

/** Takes a request that has a plan; all others are echoed. */
function serve(asked: Asked<unknown>): boolean {
  const { body, say } = asked;
  lookForForgery(asked);
  const plan = plans.get(caseOf(body)) as ((say: unknown) => void) | undefined;
  plan?.(say);
  return plan !== undefined;
}

async function open(natsPort: number, ipcPath: string): Promise<Places['x']> {
  const at = ({ at: place }: Running): string => place;
  nats = await natsServer(natsPort, 'pith.rpc.xnats.>', serve);
  return {
    link: at(await grpcServer(true, serve, (send) => links.push(send))),
    handle: at(await grpcServer(false, serve)),
    method: at(await methodServer(serve)),
    http: at(await httpServer(serve)),
    ipc: at(await ipcServer(ipcPath, serve)),
  };
}

async function attack(told: Told & { tell: 'attack' }): Promise<Tally> {
  const { name, seed, cases, ms, largest, isLong } = told;
  const chance = new Chance(`${seed} ${name}`);
  const until = performance.now() + ms;
  const arena = new Arena({ chance, ports, nats: nats.wire, largest, isLong, until, plans, links });
  const attacking = attackOf(name);
  await attacking.first?.(arena);
  for (let n = 0; n < cases && (n < CASES_MIN || performance.now() < until); n++)
    await attacking.next(arena, n);
  await attacking.last?.(arena);
  return arena.end();
}

async function obey(told: Told): Promise<Said> {
  if (told.tell === 'open')
    return { said: 'opened', places: await open(told.natsPort, told.ipcPath) };
  if (told.tell === 'attack') return { said: 'done', tally: await attack(told) };
  ({ ports } = told);
  if (told.tell === 'look') return { said: 'attached' };
  dialGrpc(ports.control, 'xdial', serve);
  dialWebSocket(ports.admin, 'xdialws', serve);
  return { said: 'attached' };
}

process.on('message', (told: Told) => {
  void obey(told).then(
    (said) => process.send!(said),
    (error: unknown) => {
      // A gateway that has ended is told of by whoever watches it.
      if (!String(error).includes('ECONNREFUSED')) console.error(error);
      process.exit(1);
    },
  );
});
// Started by a test, and never longer there than it.
process.on('disconnect', () => process.exit(0));
