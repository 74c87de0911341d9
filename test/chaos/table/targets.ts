/** Every kind of target, by every door: who is pushed to, counted at the clients, and what the answers say. */
import { startLinkBackend } from '../../support/link-backend.ts';
import { eventually } from '../../support/wait.ts';
import type { Bus } from './buses.ts';
import type { Cases } from './cases.ts';
import { type Player, TableFleet } from './table-fleet.ts';

type Json = Record<string, unknown>;
type Target = {
  readonly sids?: readonly string[];
  readonly uids?: readonly string[];
  readonly groups?: readonly string[];
  readonly all?: boolean;
  readonly except_sids?: readonly string[];
  readonly except_uids?: readonly string[];
  readonly where?: object;
  readonly scope?: 'SCOPE_LOCAL';
};

/** The gateway, the uid, the groups and the data of each. */
const PLAYERS: Readonly<Record<string, readonly [number, Json]>> = {
  a1: [0, { uid: 'ann', join: ['red'], set: { lvl: 1 } }],
  a2: [0, { join: ['room.1'], set: { lvl: 2 } }],
  b1: [1, { uid: 'ann', join: ['red', 'room.1'], set: { lvl: 2 } }],
  b2: [1, { uid: 'bob', join: ['room.1'], set: { lvl: 1 } }],
  c1: [2, { uid: 'cy', join: ['red'], set: { lvl: 2 } }],
  c2: [2, { uid: 'dan' }],
};
const EVERYBODY = Object.keys(PLAYERS);
/** A session of the second gateway that was never there. */
const NOBODY = 'two.99';
const HERE = 'a sid of this gateway: no other is asked';

type Case = readonly [
  what: string,
  target: Target,
  got: readonly string[],
  /** Of the answer, but for `delivered`, and for what is 0 or empty. */
  more?: Json,
];

/** By Control on the second gateway, and as frames of a Link. */
const CASES: readonly Case[] = [
  [HERE, { sids: ['b1'] }, ['b1'], { gateways: 1 }],
  ['a sid of another', { sids: ['c2'] }, ['c2']],
  [
    'sids of all, one twice, and one that is gone',
    { sids: ['a2', 'b2', 'c1', 'c1', NOBODY] },
    ['a2', 'b2', 'c1'],
    { unknown_sids: [NOBODY] },
  ],
  ['a uid with two sessions', { uids: ['ann'] }, ['a1', 'b1']],
  ['uids, and one that is away', { uids: ['ann', 'cy', 'zoe'] }, ['a1', 'b1', 'c1'], { unknown_uids: ['zoe'] }],
  ['a group', { groups: ['red'] }, ['a1', 'b1', 'c1']],
  ['two groups, with a member of both', { groups: ['red', 'room.1'] }, ['a1', 'a2', 'b1', 'b2', 'c1']],
  ['a group that nobody has', { groups: ['none'] }, []],
  ['all', { all: true }, EVERYBODY],
  ['a sid, a uid and a group that overlap: once each', { sids: ['a1', 'c2'], uids: ['ann'], groups: ['red'] }, ['a1', 'b1', 'c1', 'c2']],
  ['all but a sid of each gateway', { all: true, except_sids: ['a1', 'b1', 'c1'] }, ['a2', 'b2', 'c2']],
  ['all but a uid', { all: true, except_uids: ['ann'] }, ['a2', 'b2', 'c1', 'c2']],
  ['a group but a uid and a sid', { groups: ['red'], except_uids: ['cy'], except_sids: ['b1'] }, ['a1']],
  ['all where lvl is 2', { all: true, where: { lvl: 2 } }, ['a2', 'b1', 'c1']],
  ['a uid where lvl is 1', { uids: ['ann'], where: { lvl: 1 } }, ['a1']],
  ['a union where lvl is 2, but a uid', { groups: ['red', 'room.1'], where: { lvl: 2 }, except_uids: ['cy'] }, ['a2', 'b1']],
  ['all on this gateway', { all: true, scope: 'SCOPE_LOCAL' }, ['b1', 'b2'], { gateways: 1 }],
]; // prettier-ignore

/** What NATS verbs do: the subject, the headers, who gets it, and what each gateway that has somebody answers. */
const VERBS: readonly (readonly [
  what: string,
  subject: string,
  words: Record<string, string>,
  got: readonly string[],
  delivered: readonly number[],
])[] = [
  ['a sid', 'session.{c1}.push', {}, ['c1'], [1]],
  ['a uid with two sessions', 'user.ann.push', {}, ['a1', 'b1'], [1, 1]],
  ['a uid that is away', 'user.zoe.push', {}, [], []],
  ['a group whose name has a dot', 'group.=cm9vbS4x.push', {}, ['a2', 'b1', 'b2'], [1, 2]],
  ['a group that nobody has', 'group.none.push', {}, [], []],
  ['all', 'all.push', {}, EVERYBODY, [2, 2, 2]],
  ['all but a uid, where lvl is 2', 'all.push', { 'Pith-Except-Uids': '["ann"]', 'Pith-Where': '{"lvl":2}' }, ['a2', 'c1'], [0, 1, 1]],
]; // prettier-ignore

/** Which route each case pushes on, and who is to get it. */
type Expected = { readonly by: string; readonly what: string; readonly answer: () => object; readonly must: object; readonly route: string; readonly got: readonly string[] }; // prettier-ignore

export async function targets(bus: Bus, cases: Cases): Promise<void> {
  await using link = await startLinkBackend();
  await using fleet = await TableFleet.start(bus, 'targets', '', {
    backends: `  link: { grpc: "${link.address}" }`,
    routes: '  - { match: "link.>", backend: link }',
  });
  const players: Player[] = [];
  for (const [name, [i, patch]] of Object.entries(PLAYERS))
    players.push(await fleet.join(name, i, patch));
  const sidOf = (name: string): string =>
    name === NOBODY
      ? `${fleet.gateways[1]!.id}.99`
      : (players.find((one) => one.name === name)?.sid ?? name);
  const withSids = ({ sids, except_sids, ...target }: Target): object => ({
    ...target,
    ...(sids && { sids: sids.map(sidOf) }),
    ...(except_sids && { except_sids: except_sids.map(sidOf) }),
  });

  const expected: Expected[] = [];
  const expect = (one: Omit<Expected, 'route'>): void => {
    expected.push({ ...one, route: `t${expected.length}` });
  };
  const nextRoute = (): string => `t${expected.length}`;
  for (const [what, target, got, more = {}] of CASES) {
    const push = { target: withSids(target), route: nextRoute(), body: { text: '{}' } };
    const answer = await fleet.control(1, 'Push', { push, wait: '30s' });
    const must = mustBe(got, more);
    expect({ by: 'Control', what, answer: () => notEmpty(answer), must, got });
  }
  for (const [what, target, got, more = {}] of CASES) {
    // Which gateway has the first link is a matter of chance; `where` is a Struct, and otherwise as by Control.
    if (what === HERE || target.scope !== undefined || target.where !== undefined) continue;
    const push = { target: withSids(target), route: nextRoute(), body: { bytes: Buffer.from('{}') } }; // prettier-ignore
    const answer = (await link.push(push)) as unknown as Json;
    const must = mustBe(got, more);
    expect({ by: 'Link', what, answer: () => notEmpty(answer), must, got });
  }
  for (const [what, subject, words, got, delivered] of VERBS) {
    const to = subject.replace(/\{(\w+)\}/, (_, name: string) => sidOf(name));
    const answers = fleet.ask(to, { ...words, 'Pith-Route': nextRoute() });
    const answer = (): object => answers.map(notEmpty).map(textOf).sort();
    const must = delivered.length === 0 ? ['nobody'] : delivered.map((n) => textOf(n === 0 ? {} : { delivered: n })).sort(); // prettier-ignore
    expect({ by: 'NATS', what, answer, must, got });
  }
  await fence(fleet, link);
  for (const { by, what, answer, must, route, got } of expected) {
    const who = players.filter(({ client }) => client.pushes(route).length > 0);
    const times = who.map(({ name, client }) => {
      const count = client.pushes(route).length;
      return count === 1 ? name : `${name} ${count} times`;
    });
    cases.check(by, what, { got: times, answer: fleet.named(answer()) as object }, { got, answer: must }); // prettier-ignore
  }
  await groupsAndKick(fleet, cases);
}

/** What every door pushes last, and every client gets: whatever was pushed before has come by then. */
async function fence(
  fleet: TableFleet,
  link: Awaited<ReturnType<typeof startLinkBackend>>,
): Promise<void> {
  const push = { target: { all: true }, route: 'fence' };
  for (let i = 0; i < 3; i++) await fleet.control(i, 'Push', { push, wait: '30s' });
  await link.push(push);
  fleet.ask('all.push', { 'Pith-Route': 'fence' });
  await eventually(
    () => fleet.players.every(({ client }) => client.pushes('fence').length === 5),
    'the last push',
  );
}

/** The rest of what has a target: join, leave, presence, lists, kick. */
async function groupsAndKick(fleet: TableFleet, cases: Cases): Promise<void> {
  const control = async (i: number, method: string, request: object): Promise<object> =>
    fleet.named(notEmpty(await fleet.control(i, method, request))) as object;
  const is = async (method: string, what: string, request: object, must: object): Promise<void> => {
    cases.check(method, what, await control(0, method, request), must);
  };
  await is('Join', 'two uids join a group', { target: { uids: ['bob', 'dan'] }, groups: ['guild'] }, { changed: 2, gateways: 3 }); // prettier-ignore
  await is('ListGroups', 'it has two members on two gateways', { prefix: 'guild' }, { name: 'guild', sessions: 2, gateways: 2 }); // prettier-ignore
  await is('Leave', 'a group leaves it', { target: { groups: ['room.1'] }, groups: ['guild'] }, { changed: 1, gateways: 3 }); // prettier-ignore
  await is('ListGroups', 'it has one', { prefix: 'guild' }, { name: 'guild', sessions: 1, gateways: 1 }); // prettier-ignore
  const presence = (await fleet.control(2, 'GetPresence', { uids: ['ann', 'dan', 'zoe'] }))['presence']; // prettier-ignore
  const sids = Object.entries(presence as Record<string, { sids: string[] }>).map(([uid, one]) => [
    uid,
    fleet.named(one.sids),
  ]);
  cases.check('GetPresence', 'who is there of three uids, and where', Object.fromEntries(sids), { ann: ['a1', 'b1'], dan: ['c2'] }); // prettier-ignore
  await is('Kick', 'a group but a uid', { target: { groups: ['red'], except_uids: ['cy'] }, close: { reason: 'test' } }, { closed: 2, gateways: 3 }); // prettier-ignore
  const kicked = ['a1', 'b1'];
  const isKicked = (name: string): boolean => {
    const { client } = fleet.players.find((one) => one.name === name)!;
    return client.received.some(({ kind }) => kind === 'kick');
  };
  await eventually(() => kicked.every(isKicked), 'the kicks');
  await eventually(() => EVERYBODY.filter((name) => fleet.eventsOf(fleet.players.find((one) => one.name === name)!).includes('closed')).length === 2, 'the ends'); // prettier-ignore
  cases.check('Kick', 'who got a kick, and of whom the end was told', { got: EVERYBODY.filter(isKicked), closed: EVERYBODY.filter((name) => fleet.eventsOf(fleet.players.find((one) => one.name === name)!).includes('closed')) }, { got: kicked, closed: kicked }); // prettier-ignore
}

function mustBe(got: readonly string[], more: Json): Json {
  return { ...(got.length > 0 && { delivered: got.length }), gateways: 3, ...more };
}

function notEmpty(answer: Json): Json {
  return Object.fromEntries(
    Object.entries(answer).filter(([name, value]) => {
      if (name.startsWith('_') || value === null || value === 0 || value === '') return false;
      return !Array.isArray(value) || value.length > 0;
    }),
  );
}

function textOf(answer: Json): string {
  if (answer['nobody'] === true) return 'nobody';
  return Object.entries(answer)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join();
}
