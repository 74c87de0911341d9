/** The promises of the reply bus: what comes before what, what is bounded, and what cannot hurt it. */
import { fileURLToPath } from 'node:url';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { Heard, headersOf, push, serve, tell, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

function start(url: string, more = ''): Promise<TestGateway> {
  return startGateway(`bus: ${url}
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 60s }]
drain: { budget: 60s, per_second: 10000 }
limits: { messages_per_second: 100000, burst: 100000${more} }
`);
}

function sidOf(gateway: TestGateway): string {
  return [...gateway.gateway.registry.all()].at(-1)!.sid;
}

describe('order', () => {
  test('a push by uid sent once the answer of the bind is there arrives, 200 times', async () => {
    await using nats = await startNats();
    const backend = await nats.connect();
    const other = await nats.connect();
    await serve(backend, 'pith.rpc.>', ({ subject, data }) => ({
      headers: { 'Pith-Bind': subject.endsWith('.in') ? Buffer.from(data).toString() : '' },
    }));
    await using gateway = await start(nats.url);
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => TestClient.connect(gateway.port)),
    );
    await Promise.all(
      clients.map(async (client, c) => {
        for (let i = 0; i < 20; i++) {
          const uid = `u${c}-${i}`;
          await client.answer(client.send('user.log.in', Buffer.from(uid)));
          push(other, `pith.user.${uid}.push`, 'onIn', { uid });
          expect(await client.push('onIn', i)).toEqual({ uid });
          await client.request('user.log.out');
        }
      }),
    );
    for (const client of clients) client.close();
  });

  test('so does one sent once a bind or join by verb is answered, 200 times', async () => {
    await using nats = await startNats();
    const backend = await nats.connect();
    const other = await nats.connect();
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const at = `pith.session.${sidOf(gateway)}`;
    for (let i = 0; i < 100; i++) {
      await tellJson(backend, `${at}.bind`, { uid: `v${i}` });
      push(other, `pith.user.v${i}.push`, 'onBound', { i });
      await tellJson(backend, `${at}.join`, { groups: [`g${i}`] });
      push(other, `pith.group.g${i}.push`, 'onJoined', { i });
      expect(await client.push('onBound', i)).toEqual({ i });
      expect(await client.push('onJoined', i)).toEqual({ i });
      await tellJson(backend, `${at}.patch`, { uid: '', leave: [`g${i}`] });
    }
    expect(client.pushes()).toHaveLength(200);
  });

  test('pushes and verbs of a backend before its reply take effect before it, 500 times', async () => {
    await using nats = await startNats();
    const backend = await nats.connect();
    await Heard.on(backend, 'pith.rpc.>', (msg) => {
      const at = `pith.session.${msg.headers!.get('Pith-Sid')}`;
      push(backend, `${at}.push`, 'onBefore', { n: Number(msg.string()) });
      backend.publish(msg.reply!, msg.data);
      push(backend, `${at}.push`, 'onAfter', { n: Number(msg.string()) });
    });
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 500 }, (_, i) => client.send('game.turn.end', i));
    await client.push('onAfter', 499);
    const order = client.received
      .filter(({ kind }) => kind === 'push' || kind === 'response')
      .map((item) =>
        item.kind === 'push'
          ? `${item.route} ${(JSON.parse(item.body.toString()) as { n: number }).n}`
          : `answer ${(item as { body: Buffer }).body.toString()}`,
      );
    expect(order).toEqual(ids.flatMap((_, i) => [`onBefore ${i}`, `answer ${i}`, `onAfter ${i}`]));
  });

  test('while a session drains it is not bound, but still pushed to and answered', async () => {
    await using nats = await startNats();
    const backend = await nats.connect();
    const heard = await Heard.on(backend, 'pith.rpc.>');
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const sid = sidOf(gateway);
    const id = client.send('game.turn.end', {});
    const { reply } = await heard.nth(0);
    const drained = gateway.gateway.drain();
    await eventually(
      () => [...gateway.gateway.registry.all()][0]?.state === 'draining',
      'the session to drain',
    );
    for (const [verb, payload] of [
      ['bind', { uid: 'late' }],
      ['patch', { uid: 'late', set: { a: 1 } }],
    ] as const) {
      const told = await tell(backend, `pith.session.${sid}.${verb}`, payload);
      expect(told!.json).toMatchObject({ error: { code: 409, reason: 'CLOSING' } });
    }
    expect(await tell(backend, 'pith.user.late.get')).toBeNull();
    expect(await tellJson(backend, `pith.session.${sid}.set`, { set: { b: 2 } })).toMatchObject({
      changed: 1,
    });
    push(backend, `pith.session.${sid}.push`, 'onLast', { last: 1 });
    backend.publish(reply!, '{"ok":1}', { headers: headersOf({}) });
    expect(await client.answer(id)).toEqual({ ok: 1 });
    expect(client.pushes('onLast')).toHaveLength(1);
    await client.ended;
    expect(await drained).toEqual({ closed: 1, forced: 0 });
  });
});

describe('a client that does not read', () => {
  test('droppable pushes are dropped, of the latest only the newest comes, and expired ones do not', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using gateway = await start(
      nats.url,
      ', outbox: 16MiB, slow: { drop_after: 1ms, close_after: 1h }',
    );
    await using client = await TestClient.connect(gateway.port);
    const at = `pith.session.${sidOf(gateway)}.push`;
    client.pauseReading(true);
    const filler = JSON.stringify({ filler: 'x'.repeat(50_000) });
    let delivered = 0;
    const { outbox } = [...gateway.gateway.registry.all()][0]!;
    // So much that what comes next waits here, even if the kernel takes a little more later.
    for (; outbox.unsentBytes < 2 * 1024 * 1024; delivered++)
      await tellJson(nc, at, filler, { 'Pith-Route': 'onFill' });
    for (;;) {
      const words = { 'Pith-Route': 'onFill', 'Pith-Delivery': 'droppable' };
      const counts = await tellJson(nc, at, filler, words);
      if (counts['dropped'] === 1) break;
      expect(counts).toEqual({ delivered: 1, dropped: 0, refused: 0 });
      delivered++;
    }
    const taken = { delivered: 1, dropped: 0, refused: 0 };
    for (const n of [1, 2, 3]) {
      for (const key of ['a', 'b'])
        expect(
          await tellJson(nc, at, JSON.stringify({ key, n }), {
            'Pith-Route': 'onPos',
            'Pith-Delivery': 'latest',
            'Pith-Latest-Key': key,
          }),
        ).toEqual(taken);
      expect(
        await tellJson(nc, at, JSON.stringify({ n }), {
          'Pith-Route': 'onTick',
          'Pith-Delivery': 'latest',
        }),
      ).toEqual(taken);
    }
    const brief = { 'Pith-Route': 'onBrief', 'Pith-Expires-Ms': '1' };
    expect(await tellJson(nc, at, '{}', brief)).toEqual(taken);
    const lasting = { 'Pith-Route': 'onLasting', 'Pith-Expires-Ms': '600000' };
    expect(await tellJson(nc, at, '{}', lasting)).toEqual(taken);
    expect(await tellJson(nc, at, '{}', { 'Pith-Route': 'onEnd' })).toEqual(taken);
    const expired = performance.now() + 10;
    await eventually(() => performance.now() > expired, 'the brief one to expire');
    client.pauseReading(false);
    await client.push('onEnd');
    expect(client.pushes('onFill')).toHaveLength(delivered);
    expect(client.pushes('onPos').map(({ body }) => body)).toEqual([
      { key: 'a', n: 3 },
      { key: 'b', n: 3 },
    ]);
    expect(client.pushes('onTick').map(({ body }) => body)).toEqual([{ n: 3 }]);
    expect(client.pushes('onBrief')).toEqual([]);
    expect(client.pushes('onLasting')).toHaveLength(1);
    expect(gateway.count('pith_pushes_skipped_total', 'replaced')).toBe(6);
    expect(gateway.count('pith_pushes_skipped_total', 'expired')).toBe(1);
  });

  test('a push that must go out and does not fit closes the session, and counts as refused', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using gateway = await start(nats.url, ', outbox: 64KiB');
    await using client = await TestClient.connect(gateway.port);
    const at = `pith.session.${sidOf(gateway)}.push`;
    client.pauseReading(true);
    const filler = JSON.stringify({ filler: 'x'.repeat(50_000) });
    const refused = await eventually(
      async () => (await tellJson(nc, at, filler, { 'Pith-Route': 'onFill' }))['refused'] === 1,
      'a refusal',
    );
    expect(refused).toBe(true);
    expect(gateway.count('pith_sessions_closed_total', 'slow_consumer')).toBe(1);
    client.pauseReading(false);
    await client.ended;
  });
});

describe('a PushBatch', () => {
  const definitions = loadSync('pith/v1/session.proto', {
    includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
  });
  const encode = (batch: object): Buffer =>
    (definitions['pith.v1.PushBatch'] as MessageTypeDefinition<object, object>).serialize(batch);

  test('carries many pushes to one gateway, each to its own target', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using gateway = await start(nats.url);
    await using ann = await TestClient.connect(gateway.port);
    const annSid = sidOf(gateway);
    await using bob = await TestClient.connect(gateway.port);
    const bobSid = sidOf(gateway);
    await tellJson(nc, `pith.session.${annSid}.patch`, { uid: 'ann', join: ['g'], set: { l: 1 } });
    await tellJson(nc, `pith.session.${bobSid}.patch`, { uid: 'bob', join: ['g'] });
    const body = { text: '{"n":1}' };
    const subject = `pith.gateway.${gateway.gateway.id}.push`;
    nc.publish(
      subject,
      encode({
        pushes: [
          { target: { uids: ['ann'], groups: ['g'] }, route: 'onUnion', body },
          { target: { sids: [bobSid] }, route: 'onSid', body },
          { target: { uids: ['nobody'] }, route: 'onNobody', body },
          { route: 'onNoTarget', body },
          { target: { all: true }, route: '', body },
          { target: { all: true, exceptUids: ['ann'] }, route: 'onExcept', body },
          { target: { all: true, where: { fields: { l: { numberValue: 1 } } } }, route: 'onWhere' },
          { target: { all: true }, route: 'onEnd', body },
        ],
      }),
    );
    await Promise.all([ann.push('onEnd'), bob.push('onEnd')]);
    expect(ann.pushes().map(({ route }) => route)).toEqual(['onUnion', 'onWhere', 'onEnd']);
    expect(bob.pushes().map(({ route }) => route)).toEqual([
      'onUnion',
      'onSid',
      'onExcept',
      'onEnd',
    ]);
  });

  test('one that cannot be read is logged, and the next works', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const subject = `pith.gateway.${gateway.gateway.id}.push`;
    const batches = [
      'not protobuf',
      '\n\u00ff\u00ff\u00ff\u00ff\u007f',
      '\u000a\u0005\u000a\u0060',
      '',
    ];
    for (const batch of batches) nc.publish(subject, Buffer.from(batch, 'latin1'));
    nc.publish(subject, encode({ pushes: [{ target: { all: true }, route: 'onNext' }] }));
    await client.push('onNext');
    expect(gateway.log.filter(({ what }) => /PushBatch/.test(String(what)))).toHaveLength(3);
  });
});

test('no payload and no header ends a subscription or the gateway', async () => {
  await using nats = await startNats();
  const nc = await nats.connect();
  await using gateway = await start(nats.url);
  await using client = await TestClient.connect(gateway.port);
  const at = `pith.session.${sidOf(gateway)}`;
  await tellJson(nc, `${at}.patch`, { uid: 'ann', join: ['g'] });
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const payloads = [
    ...[
      '{',
      'null',
      '[]',
      '7',
      '"x"',
      '\u0000',
      '{"uid":{}}',
      '{"set":[]}',
      '{"set":{"__proto__":{"a":1}}}',
    ],
    ...[
      `{"set":{"a":${deep}}}`,
      deep,
      '{"groups":{"length":1}}',
      `{"set":{"a":"${'x'.repeat(500_000)}"}}`,
    ],
    ...['{"if_version":1e400,"set":{}}', '{"set":{"toString":1}}', '{"kick":"yes"}'],
  ];
  const verbs = ['push', 'patch', 'bind', 'unbind', 'set', 'join', 'leave', 'get', 'dance'];
  const words = headersOf({
    'Pith-Where': `{"a":${'['.repeat(9_000)}${']'.repeat(9_000)}}`,
    'Pith-Route': 'onHi',
  });
  for (const payload of [...payloads, Buffer.from([0xff, 0xfe, 0x7b])]) {
    for (const verb of verbs) {
      nc.publish(`${at}.${verb}`, payload);
      nc.publish(`${at}.${verb}`, payload, { headers: words, reply: 'nobody.waits' });
      nc.publish(`pith.user.ann.${verb}`, payload);
      nc.publish(`pith.group.g.${verb}`, payload);
      nc.publish(`pith.all.${verb}`, payload);
    }
    for (const verb of ['hello', 'bye', 'push', 'list', 'dance'])
      nc.publish(`pith.fleet.${verb}`, payload, { headers: words });
  }
  await nc.flush();
  expect((await tell(nc, `${at}.get`))!.json).toHaveProperty('sessions');
  await tellJson(nc, `${at}.patch`, { uid: 'ann', join: ['g'] }).catch(() => {});
  for (const subject of [at, 'pith.user.ann', 'pith.group.g', 'pith.all'])
    expect(await tellJson(nc, `${subject}.push`, '{}', { 'Pith-Route': 'onStill' })).toMatchObject({
      delivered: 1,
    });
  await client.push('onStill', 3);
  expect(
    gateway.log.filter(({ what }) => /could not be handled|failed/.test(String(what))),
  ).toEqual([]);
});
