// The simulated backends: what they hold a gateway to, and that they do what they are told, rightly and wrongly.
import { describe, expect, test } from 'vitest';

import type { LinkOptions } from '../simulate/backends/link-options.ts';
import { Conversation } from '../simulate/backends/conversation.ts';
import { Desk } from '../simulate/backends/desk.ts';
import type { StreamHandler, StreamSocket } from '../simulate/backends/stream.ts';
import { Network } from '../simulate/network.ts';
import { Ledger } from '../simulate/ledger.ts';
import { newClient } from '../simulate/records.ts';
import { Node, World } from '../simulate/world.ts';
import { backendService, type Shape } from '../support/grpc-shapes.ts';
import { type Play, playBackends } from '../support/simulated-backends.ts';

const { requestSerialize, responseDeserialize } = backendService['Link']!;
const ROUTE = { timeoutMs: 5_000, idempotent: false, ordered: 'all' } as const;

/** A Link with a gateway that says what the test wants. */
class Wire implements StreamSocket {
  handler!: StreamHandler;
  readonly world: World;
  readonly ledger: Ledger;
  readonly sent: Shape[] = [];
  isEnded = false;
  readonly link: Conversation;

  constructor(options: Partial<LinkOptions> = {}, seed = 'link') {
    this.world = new World(seed);
    this.ledger = new Ledger(this.world, new Map([['a.b', ROUTE]]));
    const node = new Node(this.world, 'rooms#1');
    const desk = new Desk({ node, ledger: this.ledger, ownMs: Infinity, couriers: () => [] });
    const all = { instance: '', features: [], maxInFlight: 0, ...options } as const;
    this.link = new Conversation(this, desk, all, { name: 'rooms#1/link1', onOver: () => {} });
  }

  /** Each frame in a message of its own. */
  say(...frames: Shape[]): this {
    for (const one of frames) this.handler.onMessage(requestSerialize({ frames: [one] }));
    return this;
  }

  /** What it has sent, after a while. */
  async answers(): Promise<Shape[]> {
    await this.world.run(this.world.nowMs + 100);
    return this.sent.splice(0);
  }

  get broken(): string[] {
    return this.world.violations.map(({ rule }) => rule);
  }

  send(message: Buffer): void {
    this.sent.push(...(responseDeserialize(message) as { frames: Shape[] }).frames);
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {}
  pause(): void {}
  resume(): void {}
}

const HELLO = { hello: { gateway: 'g', version: '1', features: ['credit', 'extend'] } };
const request = (id: number, more: Shape = {}): Shape => ({
  id,
  request: { session: { sid: 'g.1', gateway: 'g' }, route: 'a.b', timeout_ms: 100, ...more },
});
const big = (id: number): Shape => request(id, { body: Buffer.alloc(70_000) });
const pushed = (id: number): Shape => ({ id, pushed: { delivered: 1 } });

describe('what a gateway on a Link is held to', () => {
  test.for<[string, Partial<LinkOptions>, Shape[], string]>([
    ['hello is not the first', {}, [request(1)], 'hello comes first'],
    ['another gateway asks', {}, [HELLO, request(1, { session: { gateway: 'h' } })], 'hello comes first'],
    ['hello comes again', {}, [HELLO, HELLO], 'hello comes once'],
    ['an id is used again', {}, [HELLO, request(1), request(1)], 'ids are not used again'],
    ['a request has no id', {}, [HELLO, request(0)], 'ids are not used again'],
    ['more are in flight than it takes', { maxInFlight: 1 }, [HELLO, request(1), request(2)], 'max_in_flight is kept'],
    ['credit is spent, in bytes', { features: ['credit'] }, [HELLO, big(1), request(2)], 'credit is kept'],
    ['credit is spent, in frames', { features: ['credit'] }, [HELLO, ...Array.from({ length: 9 }, (_, i) => request(i + 1))], 'credit is kept'],
    ['credit comes that nobody asked for', {}, [HELLO, { credit: { frames: 1 } }], 'credit is asked for'],
    ['an instance gets what is for another', { instance: 'one' }, [HELLO, request(1, { to: 'two' })], 'an instance gets its own'],
    ['a push has a result that nobody waits for', {}, [HELLO, pushed(1)], 'a push is answered once'],
    ['a verb has a result that nobody waits for', {}, [HELLO, { id: 1, done: {} }], 'a verb is answered once'],
  ])('%s', ([, options, frames, rule]) => {
    const wire = new Wire(options);
    // What nobody sent has no plan, and is not answered.
    wire.ledger.reached = () => null;
    expect(wire.say(...frames).broken).toContain(rule);
  }); // prettier-ignore

  test('a frame of a number that the contract keeps free', () => {
    const wire = new Wire().say(HELLO);
    // frames: [{ 11: "" }]
    wire.handler.onMessage(Buffer.from([0x0a, 0x02, 0x5a, 0x00]));
    expect(wire.broken).toEqual(['frames are of the contract']);
  });

  test('a frame that cannot be read', () => {
    const wire = new Wire();
    wire.handler.onMessage(Buffer.from([0x0a, 0x7f]));
    expect(wire.broken).toEqual(['frames can be read']);
  });

  test('an end is told once', () => {
    const wire = new Wire().say(HELLO, { id: 1, connect: { session: { sid: 'g.1' } } });
    const closed = { closed: { session: { sid: 'g.1' } } };
    expect(wire.say(closed).broken).toEqual([]);
    expect(wire.say(closed).broken).toContain('an end is told once');
  });
});

describe('a backend on a Link', () => {
  const client = newClient('c1/1');
  const push = (name: string, counted = false) =>
    ({ to: { kind: 'group', name }, counted, delivery: 'must' }) as const;

  test('says what the plan says, in its order, and gives back what it was given', async () => {
    const wire = new Wire({ features: ['credit'] });
    const plan = { before: [push('a')], inReply: [push('b')], after: [push('c', true)], delayMs: 5 }; // prettier-ignore
    const ask = wire.ledger.asking({ ...client }, { k: 1, route: 'a.b', plan, isNotify: false, padding: '' }); // prettier-ignore
    wire.say(HELLO, { credit: { frames: 100, bytes: 1_000 } }, request(7, { body: Buffer.from(ask.body) })); // prettier-ignore
    const sent = await wire.answers();
    expect(sent.map(({ frame }) => frame).slice(0, 4)).toEqual([
      'hello',
      'credit',
      'push',
      'reply',
    ]);
    expect(sent[1]).toMatchObject({ credit: { frames: 8, bytes: 40_960 } });
    const answer = sent[3]!['reply'] as { body: { bytes: Buffer }; pushes: Shape[] };
    expect(answer.body.bytes.toString()).toBe('{"n":1,"by":"rooms#1/link1!3"}');
    const apart = sent.slice(4).map(({ push: one }) => one as Shape);
    const pushes = [sent[2]!['push'] as Shape, ...answer.pushes, ...apart];
    expect(pushes.map(({ body }) => (body as { bytes: Buffer }).bytes.toString())).toEqual([
      '{"p":1}',
      '{"p":2}',
      '{"p":3}',
    ]);
    expect(ask.stamps).toEqual(['rooms#1/link1!3']);
    expect(wire.broken).toEqual([]);
  });

  // Which way a change takes is drawn: seed 1 takes the first, seed 2 the second.
  const patch = { uid: 'ann', join: ['r'] };
  const changed = async (seed: string): Promise<{ wire: Wire; first: Shape }> => {
    const wire = new Wire({}, seed);
    const plan = { bind: 'ann', join: ['r'] };
    const ask = wire.ledger.asking({ ...client }, { k: 1, route: 'a.b', plan, isNotify: false, padding: '' }); // prettier-ignore
    const session = { sid: 'g.1', gateway: 'g', version: 12 };
    wire.say(HELLO, request(7, { session, body: Buffer.from(ask.body) }));
    const [, first] = await wire.answers();
    return { wire, first: first! };
  };

  test('changes a session in its answer', async () => {
    const { first } = await changed('1');
    expect(first).toMatchObject({
      id: 7,
      reply: { outcome: 'body', patch: { ...patch, if_version: 0 } },
    });
  });

  test.for<[string, Shape | null, string | undefined]>([
    ['it is done', null, undefined],
    ['it is refused', { code: 409 }, 'PLANNED'],
  ])('changes a session before it answers, and waits whether %s', async ([, error, reason]) => {
    const { wire, first } = await changed('2');
    expect(first).toMatchObject({
      verb: { target: { sids: ['g.1'] }, patch: { ...patch, if_version: 12 } },
    });
    wire.say({ id: first['id'], done: { changed: 1, error } });
    const [answer] = await wire.answers();
    const { error: refusal } = answer!['reply'] as { error?: Shape };
    expect(refusal?.['reason']).toBe(reason);
  });

  test('keeps its pushes back while it has no credit, and all that follows them', async () => {
    const wire = new Wire({ features: ['credit'] });
    const ask = wire.ledger.asking({ ...client }, { k: 1, route: 'a.b', plan: { before: [push('a')] }, isNotify: false, padding: '' }); // prettier-ignore
    wire.say(HELLO, request(7, { body: Buffer.from(ask.body) }));
    expect((await wire.answers()).map(({ frame }) => frame)).toEqual(['hello', 'credit']);
    wire.say({ credit: { frames: 1, bytes: 1 } });
    expect((await wire.answers()).map(({ frame }) => frame)).toEqual(['push', 'reply']);
  });

  test('asks for more time, answers no more after a goaway than it has, and ends', async () => {
    const wire = new Wire({ features: ['extend'] });
    const ask = wire.ledger.asking({ ...client }, { k: 1, route: 'a.b', plan: { delayMs: 90 }, isNotify: false, padding: '' }); // prettier-ignore
    wire.say(HELLO, request(7, { body: Buffer.from(ask.body) }), { goaway: { reason: 'moved' } });
    wire.handler.onEnd();
    expect((await wire.answers()).map(({ frame }) => frame)).toEqual(['hello', 'extend', 'reply']);
    expect(wire.isEnded).toBe(true);
    expect(wire.broken).toEqual([]);
  });
});

const LINK_WRONGS = ['twice', 'future', 'strange', 'slow', 'never', 'late', 'deaf', 'garbage', 'refused'] as const; // prettier-ignore
const WRONGS_OF = {
  'rooms-1': LINK_WRONGS,
  'laptop-1': LINK_WRONGS,
  // They give no credit, and would be stuck if a second hello asked for it.
  'rooms-2': ['strange'],
  'laptop-2': ['strange'],
  // Each of its calls is one message, and has one answer.
  'duel-1': ['future', 'slow', 'never', 'late', 'garbage', 'refused'],
  // Who does not read is cut off by nats-server.
  'chat-1': ['twice', 'future', 'strange', 'slow', 'never', 'late', 'garbage', 'refused'],
} as const;
const PLACES = Object.keys(WRONGS_OF) as (keyof typeof WRONGS_OF)[];
const FIRST_PLACES = PLACES.filter((place) => place.endsWith('-1'));
/** What clients may be answered in any case: their plans take too long, or would bind again who is bound. */
const ANY = [200, 409, 504, 555];
/** What else while a backend is wrong in this way; and what they are for certain, so often in all. */
const CODES: Readonly<Record<string, { also: readonly number[]; surely?: readonly number[] }>> = {
  twice: { also: [] },
  future: { also: [] },
  // A frame of it answers the request as if it were a handshake.
  strange: { also: [502] },
  slow: { also: [] },
  never: { also: [], surely: [504] },
  late: { also: [], surely: [504] },
  deaf: { also: [503], surely: [503, 504] },
  garbage: { also: [500, 502, 503], surely: [500, 502, 503] },
  refused: { also: [413], surely: [409, 413] },
};
const SURELY_MIN = 5;
/** What a wrong backend has done is no more felt. */
const WELL_MS = 75_000;

function codesOf({ answers }: Play): number[] {
  return [...new Set(answers.map(({ code }) => code))];
}

describe('with real gateways', () => {
  test('every backend carries out what it is asked, and nothing is broken', async () => {
    const play = await playBackends({ seed: '1', seconds: 300 });
    expect(play.violations).toEqual([]);
    expect(codesOf(play)).toEqual(expect.arrayContaining([200, 555]));
    for (const code of codesOf(play)) expect(ANY).toContain(code);
    for (const place of PLACES) expect(play.requestsAt(place)).toBeGreaterThan(20);
    expect(play.stage.ledger.counts.received).toBeGreaterThan(200);
    expect(play.counted).toBeGreaterThan(20);
  });

  const rows = PLACES.flatMap((place) => WRONGS_OF[place].map((wrong) => [place, wrong] as const));
  test.for(rows)('%s, %s: the gateway copes', async ([place, wrong]) => {
    const play = await playBackends({
      seed: `${place} ${wrong}`,
      seconds: 110,
      only: place,
      atMs: (at, { backends }) => {
        at(20_000, () => {
          backends.find((one) => one.place === place)!.misbehave(wrong, 40_000);
        });
      },
    });
    expect(play.violations).toEqual([]);
    const { also, surely = [] } = CODES[wrong]!;
    for (const code of codesOf(play)) expect([...ANY, ...also]).toContain(code);
    const sure = play.answers.filter(({ code }) => surely.includes(code));
    expect(sure.length).toBeGreaterThanOrEqual(surely.length === 0 ? 0 : SURELY_MIN);
    // It is over, and forgotten; but a client's own plan may hold up all that it has sent.
    const later = play.answers.filter(({ atMs }) => atMs > WELL_MS);
    const well = later.filter(({ code }) => code === 200 || code === 555);
    expect(well.length).toBeGreaterThan(later.length * 0.7);
  });

  test('a backend that asks for more time gets it', async () => {
    const play = await playBackends({
      seed: 'extend',
      seconds: 110,
      only: 'rooms',
      atMs: (at, { backends }) => {
        for (const one of backends.slice(0, 1)) at(10_000, () => { one.misbehave('slow', 90_000); }); // prettier-ignore
      },
    });
    const late = play.answers.filter(({ ms, code }) => ms > 5_050 && code === 200);
    expect(late.length).toBeGreaterThan(0);
    expect(play.violations).toEqual([]);
  });

  test('who was sent anything is told of the end', async () => {
    const play = await playBackends({
      seed: 'ends',
      seconds: 200,
      atMs: (at, { players }) => {
        at(100_000, () => {
          for (const player of players) player.ban();
        });
      },
    });
    const told = play.stage.backends.filter(({ isOnBus }) => !isOnBus);
    expect(told.map(({ place }) => place)).toContain('duel-1');
    for (const { node } of told) expect(play.stage.ledger.ends.openAt(node!.name)).toEqual([]);
    expect(play.violations).toEqual([]);
  });

  test('a backend that cannot be wrong in this way says so', async () => {
    const { stage } = await playBackends({ seed: 'cannot', seconds: 1 });
    const offered = stage.backends.map(({ place, wrongs }) => [place, [...wrongs].sort()]);
    const of = Object.fromEntries(offered) as Record<string, string[]>;
    for (const place of FIRST_PLACES) expect(of[place]).toEqual([...WRONGS_OF[place]].sort());
    const duel = stage.backends.find(({ place }) => place === 'duel-1')!;
    expect(() => { duel.misbehave('deaf', 1); }).toThrow('duel-1 cannot be deaf'); // prettier-ignore
  });

  test.for(['rooms-1', 'laptop-1'])('%s stops in order, and nobody notices', async (place) => {
    let stopped = 0;
    const play = await playBackends({
      seed: `stop ${place}`,
      seconds: 120,
      only: place.replace('-1', ''),
      atMs: (at, stage) => {
        const backend = stage.backends.find((one) => one.place === place)!;
        const { network } = stage;
        at(40_000, () => {
          const { node } = backend;
          backend.stop(() => {
            stopped++;
            network.kill(node!, 'reset');
            at(3_000, () => { backend.start(); }); // prettier-ignore
          });
        });
      },
    });
    expect(play.violations).toEqual([]);
    expect(stopped).toBe(1);
    for (const code of codesOf(play)) expect(ANY).toContain(code);
    expect(play.requestsAt(`${place}#1`)).toBeGreaterThan(0);
    expect(play.requestsAt(`${place}#2`)).toBeGreaterThan(0);
  });

  test('one seed is one history', async () => {
    const once = await playBackends({ seed: 'again', seconds: 100 });
    const again = await playBackends({ seed: 'again', seconds: 100 });
    expect(again.digest).toBe(once.digest);
    expect((await playBackends({ seed: 'other', seconds: 100 })).digest).not.toBe(once.digest);
  });
});

test('a machine that is back resets the connections of its former process', async () => {
  const world = new World('back');
  const network = new Network(world);
  const [server, client] = [new Node(world, 's#1'), new Node(world, 'c#1')];
  network.listen(server, 's', (end) => {
    end.handler = { onMessage: () => {}, onEnd: () => {}, onCut: () => {} };
  });
  const cuts: string[] = [];
  network.connect(client, 's', { latencyMs: [1, 1], windowBytes: 1 }, {
    onOpen: (end) => {
      end.handler = { onMessage: () => {}, onEnd: () => {}, onCut: (why) => cuts.push(why) };
    },
    onRefused: () => {},
  }); // prettier-ignore
  await world.run(10);
  network.kill(server, 'silent');
  await world.run(60_000);
  expect(cuts).toEqual([]);
  network.returned(server);
  await world.run(61_000);
  expect(cuts).toEqual(['reset by peer']);
});
