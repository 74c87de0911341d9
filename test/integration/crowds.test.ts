/**
 * Crowds of hostile connections, the short form of `make border-crowds`: what each of a kind holds in the real process, and
 * that each is gone in the end, for the reason that is its own. Bytes and ends are asserted, and no milliseconds.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Client } from '../border/client.ts';
import {
  Crowd,
  crowdConfig,
  type CrowdKind,
  type CrowdPorts,
  KINDS,
} from '../border/crowds/kinds.ts';
import { Gateway } from '../border/gateway.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const MANY = 200;
const MIB = 1_048_576;
const OUTBOXES_MIB = 24;
/** What a heap is more by after some hundred connections, whatever they do: compiled code, caches. */
const MARGIN_BYTES = 2 * MIB;

const secret = new SecretFolder(new Authority().issue('server'));
const open: Gateway[] = [];
async function start(deadline: string): Promise<Gateway> {
  const gateway = await Gateway.start(
    crowdConfig(secret, deadline, { outboxesMiB: OUTBOXES_MIB, count: MANY }),
  );
  open.push(gateway);
  return gateway;
}
afterAll(async () => {
  for (const gateway of open) await gateway[Symbol.asyncDispose]();
  secret[Symbol.dispose]();
});

function portsOf({ ports: { clients } }: Gateway): CrowdPorts {
  return { open: clients[0]!, proxied: clients[1]! };
}

async function counted(gateway: Gateway, { ends }: CrowdKind): Promise<number> {
  return (await gateway.metrics()).get(ends) ?? 0;
}

describe('each holds no more than it may', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    // Nobody is late, however busy the machine is.
    gateway = await start('10m');
  });

  test.each(KINDS.filter(({ bytesMax }) => bytesMax > 0))('$name', async (kind) => {
    // What the first of them brings along is not of the others.
    (await Crowd.come(kind, 10, portsOf(gateway)))[Symbol.dispose]();
    const before = await gateway.held();
    using crowd = await Crowd.come(kind, MANY, portsOf(gateway));
    const held = (await gateway.held()) - before;
    expect(held).toBeLessThan(MANY * kind.bytesMax + MARGIN_BYTES);
    expect(crowd.size).toBe(MANY);
  });
});

test('those who take nothing hold what limits.outboxes allows, all together, and are closed', async () => {
  const kind = KINDS.find(({ name }) => name === 'takes nothing')!;
  const gateway = await start('2s');
  const before = await gateway.held();
  using crowd = await Crowd.come(kind, 20 / kind.share, portsOf(gateway));
  const metrics = await gateway.metrics();
  const held = (await gateway.held()) - before;
  expect(metrics.get('pith_outbox_bytes')).toBeLessThanOrEqual(OUTBOXES_MIB * MIB);
  expect(held).toBeLessThan(1.3 * OUTBOXES_MIB * MIB + 12 * MIB);
  await eventually(async () => (await gateway.metrics()).get('pith_sessions') === 0, 'no session');
  // The kernel may have taken all that is for one, who is then only silent.
  expect(await counted(gateway, kind)).toBeGreaterThanOrEqual(1);
  crowd.listen();
  await eventually(() => crowd.ended === 20, 'them to see it');
});

test('each is gone in the end, and those who play do not notice', async () => {
  const gateway = await start('5s');
  const kinds = KINDS.filter(({ bytesMax }) => bytesMax > 0);
  const client = await Client.join(portsOf(gateway).open, 'tcp', 'pomelo');
  // One kind after the other: of all at once a busy machine would cut some before they have sent what they have to send,
  // for a reason that is not their own.
  const crowds: Crowd[] = [];
  for (const kind of kinds) crowds.push(await Crowd.come(kind, MANY / 4, portsOf(gateway)));
  const wanted = new Map<string, number>();
  for (const { ends } of kinds) wanted.set(ends, (wanted.get(ends) ?? 0) + MANY / 4);
  await eventually(async () => {
    const { kind } = await client.ask('echo.a', '{}', 60_000);
    expect(kind).toBe('answer');
    const metrics = await gateway.metrics();
    return [...wanted].every(([ends, count]) => metrics.get(ends) === count);
  }, 'every end to be counted');
  for (const crowd of crowds) crowd.listen();
  await eventually(
    () => crowds.every((crowd) => crowd.ended === crowd.size),
    'everybody to see it',
  );
  await client.close();
  await eventually(async () => (await gateway.metrics()).get('pith_sessions') === 0, 'nobody');
  for (const crowd of crowds) crowd[Symbol.dispose]();
});
