/** What comes to a gateway over NATS: verbs, batches, subjects that are nearly right; and where replies may go. */
import { describe, expect, test } from 'vitest';

import { turn } from '../session/support.ts';
import { makeGateway, type Sent } from './support.ts';

const G = 'g-0123456789';

function stage() {
  const gateway = makeGateway(G);
  const { exchange } = gateway;
  const ann = gateway.client(1, 'ann', 'r');
  const bob = gateway.client(2, 'bob', 'r');
  /** Publishes, and returns the replies that were published. */
  const request = async (
    subject: string,
    payload: string | Uint8Array = '',
    lines = '',
    reply = '_INBOX.x',
  ): Promise<Sent[]> => {
    // prettier-ignore
    exchange.hear(reply);
    exchange.takeSent();
    const head = Buffer.from(lines === '' ? '' : `NATS/1.0\r\n${lines}\r\n`);
    exchange.publish(subject, payload, reply, head);
    exchange.deliver();
    await turn();
    for (const { resolve } of gateway.connector.flushes) resolve();
    await turn();
    return exchange.takeSent().slice(1);
  };
  const refused = (reason: string) => gateway.metrics.count('pith_bus_refused_total', [reason]);
  const pushed = () =>
    [ann, bob].map(({ session, connection }) => {
      session.outbox.flush();
      return connection.messages;
    });
  return { ...gateway, ann, bob, request, refused, pushed };
}

const ROUTE = 'Pith-Route: onX\r\n';
const answer = (payload: string) => [{ subject: '_INBOX.x', reply: '', headers: [], payload }];
const refusal = (code: number, reason: string, message: string) => [
  {
    subject: '_INBOX.x',
    reply: '',
    headers: [`Nats-Service-Error-Code: ${code}`, `Nats-Service-Error: ${message}`],
    payload: JSON.stringify({ error: { code, reason, msg: message } }),
  },
];

describe('what the gateway itself has published, and NATS has held back until it has another connection', () => {
  const OWN = `${ROUTE}Pith-Gateway: ${G}\r\n`;
  const OTHERS = `${ROUTE}Pith-Gateway: h-0123456789\r\n`;
  const ALL = 'Pith-Target: {"all":true}\r\n';

  test.each([
    ['pith.all.push', OWN, 0],
    ['pith.all.push', OTHERS, 1],
    ['pith.user.ann.push', OWN, 0],
    ['pith.user.ann.push', OTHERS, 1],
    ['pith.group.r.push', OWN, 0],
    ['pith.group.r.push', OTHERS, 1],
    ['pith.fleet.push', OWN + ALL, 0],
    ['pith.fleet.push', OTHERS + ALL, 1],
  ])('%s with %j reaches ann %d times', async (subject, lines, times) => {
    const { request, pushed } = stage();
    await request(subject, '{}', lines, '');
    expect(pushed()[0]).toHaveLength(times);
  });

  test.each([
    [G, 2],
    ['h-0123456789', 0],
  ])('a kick of %s leaves %d sessions', async (gateway, left) => {
    const { request, registry } = stage();
    await request('pith.fleet.kick', `{"gateway":"${gateway}","target":{"all":true}}`, '', '');
    expect(registry.size).toBe(left);
  });
});

describe('a verb is answered', () => {
  test.each([
    [`pith.session.${G}.1.push`, '{}', ROUTE, '{"delivered":1,"dropped":0,"refused":0}'],
    ['pith.user.ann.push', '{}', ROUTE, '{"delivered":1,"dropped":0,"refused":0}'],
    [
      'pith.group.r.push',
      '{}',
      `${ROUTE}Pith-Except-Uids: ["bob"]\r\n`,
      '{"delivered":1,"dropped":0,"refused":0}',
    ],
    ['pith.all.push', '{}', ROUTE, '{"delivered":2,"dropped":0,"refused":0}'],
    ['pith.group.r.kick', '', '', '{"closed":2}'],
    ['pith.all.get', '', '', '{"sessions":2}'],
    [`pith.session.${G}.1.set`, '{"set":{"a":1}}', '', '{"changed":1,"version":1}'],
    ['pith.user.ann.patch', '{"join":["s"]}', '', '{"changed":1,"version":1}'],
  ])('%s', async (subject, body, lines, payload) => {
    expect(await stage().request(subject, body, lines)).toEqual(answer(payload));
  });

  test('by no gateway without a session of that user or group', async () => {
    const { request, exchange } = stage();
    const NO_RESPONDERS = [{ subject: '_INBOX.x', reply: '', headers: [], payload: '' }];
    expect(await request('pith.user.zed.push', '', ROUTE)).toEqual(NO_RESPONDERS);
    expect(exchange.sent).toEqual([]);
  });

  test('with the error and what was changed anyway, where one of several sessions is refused', async () => {
    const { request, client } = stage();
    client(3, 'ann').session.version = 7;
    const [reply] = await request('pith.user.ann.patch', '{"set":{"x":1},"if_version":7}');
    expect(JSON.parse(reply!.payload)).toMatchObject({
      error: { code: 409, reason: 'CONFLICT' },
      changed: 1,
      version: 8,
    });
  });

  test('404 for a session that has ended', async () => {
    const { request } = stage();
    expect(await request(`pith.session.${G}.9.push`, '', ROUTE)).toMatchObject([
      { headers: ['Nats-Service-Error-Code: 404', expect.stringMatching(/^Nats-Service-Error: /)] },
    ]);
  });

  test('400 where its headers cannot be read', async () => {
    const { request, refused, pushed } = stage();
    expect(await request('pith.all.push', '{}', 'Pith-Where: [\r\n')).toMatchObject([
      { headers: ['Nats-Service-Error-Code: 400', expect.any(String)] },
    ]);
    expect([refused('BAD_ARGUMENT'), pushed()]).toEqual([1, [[], []]]);
  });

  test('501 where there is no such verb', async () => {
    const message = 'no verb dance for a group; there are push, kick, get';
    const { request, refused } = stage();
    expect(await request('pith.group.r.dance')).toEqual(refusal(501, 'UNSUPPORTED', message));
    expect(refused('UNSUPPORTED')).toBe(1);
  });

  test('500 where the gateway itself fails, and the fault is logged', async () => {
    const { request, connector, refused, lines } = stage();
    connector.subscribe = () => {
      throw new Error('no more subscriptions');
    };
    expect(await request(`pith.session.${G}.1.join`, '{"groups":["s"]}')).toEqual(
      refusal(500, 'INTERNAL', 'the gateway failed'),
    );
    expect(refused('INTERNAL')).toBe(1);
    expect(lines).toMatchObject([
      { level: 'error', what: 'a verb failed: no more subscriptions', msg: 'bus' },
      { level: 'warn', reason: 'INTERNAL', msg: 'bus message refused' },
    ]);
  });

  test('not at all, but done, where no answer is wanted', () => {
    const { exchange, pushed } = stage();
    exchange.publish('pith.all.push', '{}', '', Buffer.from(`NATS/1.0\r\n${ROUTE}\r\n`));
    exchange.takeSent();
    exchange.deliver();
    expect([exchange.sent, pushed()]).toEqual([[], [['onX {}'], ['onX {}']]]);
  });
});

describe('where the reply subject is', () => {
  test.each([
    ['nothing that replies may go to', 'pith.all.kick'],
    ['where gateways await backends', '_INBOX.a-0123456789.rpc.1'],
    [
      'where gateways await gateways, and the verb is none that they ask',
      '_INBOX.a-0123456789.ask.1',
    ],
    ['no subject', '_INBOX.x y'],
  ])('%s: %s, the verb is done and not answered', async (_, reply) => {
    const { request, refused, pushed } = stage();
    expect(await request('pith.user.ann.push', '{}', ROUTE, reply)).toEqual([]);
    expect([refused('REPLY_SUBJECT'), pushed()]).toEqual([1, [['onX {}'], []]]);
  });

  test('another gateway, for a verb to a session that gateways do not send, it is not answered', async () => {
    const { request, refused } = stage();
    const reply = '_INBOX.a-0123456789.ask.1';
    expect(await request(`pith.session.${G}.1.set`, '{"set":{}}', '', reply)).toEqual([]);
    expect(refused('REPLY_SUBJECT')).toBe(1);
  });

  test('another gateway, for what it asks, the answer names this one', async () => {
    const { request } = stage();
    const reply = '_INBOX.a-0123456789.ask.1';
    const [done] = await request(`pith.session.${G}.1.patch`, '{"uid":"ann"}', '', reply);
    expect(done!.payload).toBe(`{"changed":0,"version":0,"gateway":"${G}"}`);
    const [gone] = await request(`pith.session.${G}.9.get`, '', '', reply);
    expect(JSON.parse(gone!.payload)).toMatchObject({ error: { code: 404 }, gateway: G });
  });
});

describe('an answer that does not fit', () => {
  test('becomes 413', async () => {
    const { request, connector, refused } = stage();
    connector.payloadBytesMax = 450;
    const [gone] = await request('pith.user.ann.get');
    expect(gone!.headers[0]).toBe('Nats-Service-Error-Code: 413');
    expect(refused('TOO_LARGE')).toBe(1);
  });

  test('becomes 413 where it is a refusal as well', async () => {
    const { request, connector, refused } = stage();
    connector.payloadBytesMax = 700;
    const answers = await request(`pith.user.${'x'.repeat(400)}.b.push`);
    expect(answers).toMatchObject([
      { headers: ['Nats-Service-Error-Code: 413', expect.any(String)] },
    ]);
    expect([refused('BAD_ARGUMENT'), refused('UNANSWERED')]).toEqual([1, 1]);
  });

  test('has a text of 1,024 characters of ASCII in its header', async () => {
    const { request } = stage();
    const [refused] = await request(`pith.group.r.${'ö'.repeat(2_000)}`);
    const text = refused!.headers[1]!;
    expect(text).toMatch(/^Nats-Service-Error: no verb \?{100}/);
    expect(text).toHaveLength('Nats-Service-Error: '.length + 1_024);
  });
});

describe('a subject that is nearly right', () => {
  test.each(['pith.user.a.b.push', 'pith.session.x.push', 'pith.group.push', 'pith.all.x.push'])(
    '%s is answered 400, and logged',
    async (subject) => {
      const { request, refused, lines } = stage();
      const [gone] = await request(subject, '{}', ROUTE);
      expect(gone!.headers[0]).toBe('Nats-Service-Error-Code: 400');
      expect(gone!.headers[1]).toContain(subject);
      expect(refused('BAD_ARGUMENT')).toBe(1);
      expect(lines).toMatchObject([{ level: 'warn', subject, msg: 'bus message refused' }]);
    },
  );

  test('is heard by one of two gateways', async () => {
    const { request, exchange, clock } = stage();
    makeGateway('h-0123456789', exchange, clock);
    expect(await request('pith.user.a.b.push', '{}', ROUTE)).toHaveLength(1);
  });
});

describe('a name that is not encoded, though it has to be', () => {
  test.each([
    ['user', 'zoë', 'pith.user.zoë.push'],
    ['group', 'room:1', 'pith.group.room:1.push'],
    ['group', 'x'.repeat(65), `pith.group.${'x'.repeat(65)}.push`],
  ])('is noticed, counted and logged: %s %s', async (kind, name, subject) => {
    const { request, refused, client, lines } = stage();
    if (kind === 'user') client(3, name);
    else client(3, '', name);
    await request(subject, '{}', ROUTE, '');
    expect(refused('BAD_ARGUMENT')).toBe(1);
    expect(lines).toMatchObject([
      { level: 'warn', subject, what: expect.stringContaining('encode names') as string },
    ]);
    const [told] = await request(subject, '{}', ROUTE);
    expect(told!.headers).toContain('Nats-Service-Error-Code: 400');
  });

  test.each([
    // The first is the encoding of `a@b`, the others are no token.
    ...['=YUBi', 'a.b', 'a b', 'a*', '>', 'a\u0000', '\ud800', `${'ä'.repeat(300)}`],
  ])('is not listened to where it could be another, or none: %j', (name) => {
    const { connector, client } = stage();
    const before = connector.patterns.length;
    client(3, name);
    expect(connector.patterns.length - before).toBe(1);
  });

  test('is listened to for the first hundred names, as long as they are there', () => {
    const { connector, client, ann, bob } = stage();
    for (const { session } of [ann, bob]) session.close('client_closed');
    const players = Array.from({ length: 150 }, (_, i) => client(i + 3, `id:${i}`));
    expect(connector.patterns).toHaveLength(250);
    for (const { session } of players) session.close('client_closed');
    expect(connector.patterns).toEqual([]);
    client(200, 'id:200');
    expect(connector.patterns.sort()).toEqual(['pith.user.=aWQ6MjAw.*', 'pith.user.id:200.*']);
  });
});

describe('a batch of pushes', () => {
  // A PushBatch by hand: 1 pushes { 1 target { 2 uids }, 2 route, 3 body { 1 bytes } }.
  const bytes = (field: number, content: Uint8Array) =>
    Buffer.concat([Buffer.from([(field << 3) | 2, content.length]), content]);
  const push = (target: Uint8Array, route = 'onX') =>
    bytes(
      1,
      Buffer.concat([
        bytes(1, target),
        bytes(2, Buffer.from(route)),
        bytes(3, bytes(1, Buffer.from('{}'))),
      ]),
    );
  const toUser = (uid: string, route?: string) => push(bytes(2, Buffer.from(uid)), route);

  test('is answered with the sums, those that were refused left out', async () => {
    const { request, refused, pushed } = stage();
    const batch = Buffer.concat([toUser('ann'), toUser('bob'), toUser('zed'), toUser('ann', ''), push(Buffer.alloc(0))]); // prettier-ignore
    expect(await request(`pith.gateway.${G}.push`, batch)).toEqual(
      answer('{"delivered":2,"dropped":0,"refused":0}'),
    );
    expect([refused('BAD_ARGUMENT'), pushed()]).toEqual([2, [['onX {}'], ['onX {}']]]);
  });

  test('of 1,001, or one that is cut off, is refused whole', async () => {
    const { request, pushed } = stage();
    const many = Buffer.concat(Array.from({ length: 1_001 }, () => toUser('ann')));
    const subject = `pith.gateway.${G}.push`;
    expect(await request(subject, many)).toEqual(
      refusal(413, 'TOO_LARGE', 'more than 1000 pushes in one batch'),
    );
    const two = Buffer.concat([toUser('ann'), toUser('ann')]).subarray(0, -1);
    expect(await request(subject, two)).toMatchObject([
      { headers: ['Nats-Service-Error-Code: 400', expect.stringMatching(/cut off/)] },
    ]);
    expect(pushed()).toEqual([[], []]);
  });
});
