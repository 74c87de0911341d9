/** mode: method on the wire: what the backend is told, what its answers mean, and what is refused. */
import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ServerCredentials, status } from '@grpc/grpc-js';
import { describe, expect, test, vi } from 'vitest';

import { startGateway } from '../support/gateway.ts';
import { control } from '../support/grpcurl.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { ECHO_PROTO, echo, metadata, MethodPair } from '../support/method-pair.ts';
import { TestClient } from '../support/client.ts';
import { Authority } from '../support/tls.ts';
import { eventually, SOON } from '../support/wait.ts';

describe('what the backend is told', () => {
  test('the session and the message, as metadata; and how long it has', async () => {
    await using pair = await MethodPair.start(
      (asked) => {
        const trailer = metadata({
          'x-pith-bind': 'a%20b',
          'x-pith-set': '{"level":%20"\\u00e9"}',
        });
        asked.answer({}, trailer);
      },
      { keys: ', metadata: { x-team: blue }' },
    );
    await using client = await pair.join();
    await client.request('t.say');
    client.send('t.say', {}, 77);
    const [first, second] = [await pair.backend.nth(0), await pair.backend.nth(1)];
    expect(first.meta('x-team')).toBe('blue');
    expect(first.meta('x-pith-sid')).toMatch(/^pith-\w{10}\.1$/);
    expect(first.metadata.get('x-pith-uid')).toEqual([]);
    expect([first.meta('x-pith-seq'), second.meta('x-pith-seq')]).toEqual(['1', '2']);
    expect(second.meta('x-pith-id')).toBe('77');
    expect(first.meta('x-pith-route')).toBe('t.say');
    expect(first.meta('x-pith-client-ip')).toBe('127.0.0.1');
    expect(first.deadlineMs).toBeGreaterThan(5_000);
    expect(first.deadlineMs).toBeLessThanOrEqual(15_000);
    // The first answer's trailing metadata has bound the session.
    expect(second.meta('x-pith-uid')).toBe('a%20b');
    expect(second.meta('x-pith-data')).toBe('{"level":"\\u00e9"}');
    client.notify('t.say', { text: 'n' });
    const notified = await pair.backend.nth(2);
    expect(notified.metadata.get('x-pith-id')).toEqual([]);
  });

  test('an empty body and {} are a message without fields', async () => {
    await using pair = await MethodPair.start();
    await using client = await pair.join();
    client.send('t.say', Buffer.alloc(0));
    client.send('t.say', {});
    expect((await pair.backend.nth(1)).bytes.length).toBe(0);
    expect((await pair.backend.nth(0)).bytes.length).toBe(0);
  });

  test('that nobody waits any more: the time is over, or the client has left', async () => {
    await using pair = await MethodPair.start(() => {}, { timeout: '300ms' });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    expect(await client.request('t.many')).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    await pair.backend.wait(
      () => (pair.backend.asked.every((one) => one.cancelled) ? true : undefined),
      'both to be cancelled',
    );
    client.send('t.say', {});
    const third = await pair.backend.nth(2);
    client.close();
    await pair.backend.wait(
      () => (third.cancelled ? true : undefined),
      'the third to be cancelled',
    );
  });
});

describe('what comes back', () => {
  test('changes of the session in the initial metadata take effect before the answer', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.call.sendMetadata(
        metadata({ 'x-pith-bind': 'u1', 'x-pith-join': '["a","b"]', 'x-pith-set': '{"x":1}' }),
      );
      asked.answer({ text: 'ok' });
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toEqual({ text: 'ok' });
    expect(await control(pair.gateway, 'ListSessions')).toMatchObject({
      uid: 'u1',
      data: { x: 1 },
      groups: ['a', 'b'],
    });
  });

  test('x-pith-close ends the session with its reason, behind the answer', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.answer({ text: 'bye' }, metadata({ 'x-pith-close': 'banned' }));
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toEqual({ text: 'bye' });
    await client.ended;
    expect(pair.gateway.log.find(({ msg }) => msg === 'session closed')).toMatchObject({
      words: 'banned',
    });
  });

  test('metadata that cannot be read is 502, and changes nothing', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.answer({}, metadata({ 'x-pith-set': 'no json', 'x-pith-bind': 'u' }));
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect(await control(pair.gateway, 'ListSessions')).not.toHaveProperty('uid');
    expect(pair.gateway.log.find(({ msg }) => msg === 'call failed')).toMatchObject({
      why: '/t.Echo/Say: header x-pith-set is not JSON',
    });
  });

  test('an answer that is not its message is 502, and the log says which', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.answerBytes(Buffer.from([0x0a, 0xff]));
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect(pair.gateway.log.find(({ msg }) => msg === 'call failed')?.['why']).toContain(
      '/t.Echo/Say sent an answer that is not a t.Out',
    );
  });

  test('the options of the configuration say how it is JSON', async () => {
    await using pair = await MethodPair.start(undefined, {
      keys: ', json: { always_print_primitive_fields: true, print_int64_as_number: true, ignore_unknown_fields: true }',
    });
    await using client = await pair.join();
    expect(await client.request('t.say', { big: '7', other: 1 })).toEqual({
      text: '',
      big: 7,
      list: [],
    });
  });

  test('a whole number beyond 2^53 arrives as it was written, in quotes or not', async () => {
    await using pair = await MethodPair.start();
    await using client = await pair.join();
    for (const text of ['{"big":9007199254740993}', '{"big":"9007199254740993"}']) {
      const id = client.send('t.say', Buffer.from(text));
      expect(await client.answer(id)).toEqual({ big: '9007199254740993' });
    }
  });
});

describe('a streaming method', () => {
  test('is pushed on its own route, message by message, while it goes on', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.stream.write(asked.encode({ text: 'one' }));
    });
    await using client = await pair.join();
    const id = client.send('t.many', {});
    expect(await client.push('t.many')).toEqual({ text: 'one' });
    const asked = await pair.backend.nth(0);
    asked.stream.write(asked.encode({ text: 'two' }));
    expect(await client.push('t.many', 1)).toEqual({ text: 'two' });
    expect(client.answersTo(id)).toBe(0);
    asked.stream.end(metadata({ 'x-pith-bind': 'late' }));
    expect(await client.answer(id)).toEqual({});
    expect(await control(pair.gateway, 'ListSessions')).toMatchObject({ uid: 'late' });
  });

  test('that fails in the middle is answered with why, behind what it has sent', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.stream.write(asked.encode({ text: 'one' }));
      asked.fail(status.ABORTED, 'enough');
    });
    await using client = await pair.join();
    expect(await client.request('t.many')).toMatchObject({ code: 409, reason: 'ABORTED' });
    expect(client.received.at(-1)).toMatchObject({ kind: 'response' });
  });

  test('waits for a slow client, and loses nothing', async () => {
    const count = 3_000;
    const text = 'x'.repeat(2_000);
    await using pair = await MethodPair.start((asked) => {
      const { stream } = asked;
      const bytes = asked.encode({ text });
      let sent = 0;
      const go = (): void => {
        while (sent < count) {
          sent++;
          if (!stream.write(bytes)) {
            stream.once('drain', go);
            return;
          }
        }
        stream.end();
      };
      go();
    });
    await using client = await pair.join();
    client.pauseReading(true);
    const id = client.send('t.many', {});
    const asked = await pair.backend.nth(0);
    // The backend cannot send any more: nobody takes it.
    await vi.waitFor(() => {
      expect(asked.stream.writableNeedDrain).toBe(true);
    }, SOON);
    client.pauseReading(false);
    expect(await client.answer(id)).toEqual({});
    expect(client.pushes('t.many')).toHaveLength(count);
  });

  test('of a notify ends when its client has left', async () => {
    await using pair = await MethodPair.start(() => {});
    await using client = await pair.join();
    client.notify('t.many', {});
    const asked = await pair.backend.nth(0);
    client.close();
    await client.ended;
    await vi.waitFor(() => {
      asked.stream.write(asked.encode({ text: 'x' }));
      expect(asked.cancelled).toBe(true);
    }, SOON);
  });
});

describe('what cannot be', () => {
  test('a service that is not listed, and a method that takes a stream', async () => {
    await using pair = await MethodPair.start();
    await using client = await pair.join();
    expect(await client.request('t.other')).toMatchObject({ code: 404, reason: 'NO_ROUTE' });
    expect(await client.request('t.up')).toMatchObject({ code: 501, reason: 'UNSUPPORTED' });
    expect(pair.gateway.log.findLast(({ msg }) => msg === 'call failed')).toMatchObject({
      why: '/t.Echo/Up is client_streaming; unary and server-streaming methods can be called',
    });
    expect(pair.backend.asked).toEqual([]);
  });

  test.each([
    ['not JSON', 'nonsense'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a bad number', '{"big":1.5}'],
    ['a name twice', '{"text":"a","text":"b"}'],
    ['nested too deeply', `${'{"text":'.repeat(200)}1${'}'.repeat(200)}`],
  ])('a body that is %s is 400, and goes nowhere', async (_, body) => {
    await using pair = await MethodPair.start();
    await using client = await pair.join();
    const id = client.send('t.say', Buffer.from(body));
    expect(await client.answer(id)).toMatchObject({ code: 400, reason: 'BAD_BODY' });
    expect(pair.backend.asked).toEqual([]);
  });

  test('an HTTP server at the port: 503, and the log asks whether it speaks gRPC', async () => {
    const server = http.createServer((_, response) => response.end('hi')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await using pair = await MethodPair.start(echo, { grpc: `127.0.0.1:${port}` });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    await eventually(
      () =>
        pair.gateway.log.find(
          ({ state, why }) =>
            state === 'away' && String(why).includes('does this port speak gRPC?'),
        ),
      'the log to say it',
    );
    server.closeAllConnections();
    server.close();
  });

  test('nobody at the port: 503; and it is found when it comes', async () => {
    const backend = await MethodBackend.start({
      proto: ECHO_PROTO,
      service: 't.Echo',
      handler: echo,
    });
    const { address } = backend;
    await backend[Symbol.asyncDispose]();
    await using pair = await MethodPair.start(echo, { grpc: address });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    await using _again = await MethodBackend.start({
      proto: ECHO_PROTO,
      service: 't.Echo',
      handler: echo,
      reflection: 'v1alpha',
      address,
    });
    await vi.waitFor(async () => {
      expect(await client.request('t.say', { text: 'there' })).toEqual({ text: 'there' });
    }, SOON);
  });
});

describe('several addresses', () => {
  test('share the sessions, each of which keeps to one; when it dies its sessions move', async () => {
    const backends = await Promise.all(
      [0, 1].map((n) =>
        MethodBackend.start({
          proto: ECHO_PROTO,
          service: 't.Echo',
          reflection: 'v1',
          handler: (asked) => {
            asked.answer({ text: String(n) });
          },
        }),
      ),
    );
    await using gateway = await startGateway(`
backends: { echo: { grpc: "ipv4:${backends[0]!.address},${backends[1]!.address}", mode: method, services: [t.Echo], reflection: true } }
routes: [{ match: t.say, backend: echo, method: /t.Echo/Say }]
`);
    await vi.waitFor(() => {
      expect(gateway.gateway.info().backends[0]).toMatchObject({ kind: 'grpc', healthy: 2 });
    }, SOON);
    await using ann = await TestClient.connect(gateway.port);
    await using bob = await TestClient.connect(gateway.port);
    const ask = async (client: TestClient) => (await client.request('t.say'))['text'];
    const [anns, bobs] = [await ask(ann), await ask(bob)];
    expect(new Set([anns, bobs]).size).toBe(2);
    for (let i = 0; i < 3; i++) expect([await ask(ann), await ask(bob)]).toEqual([anns, bobs]);
    await backends[Number(anns)]![Symbol.asyncDispose]();
    await vi.waitFor(async () => {
      expect(await ask(ann)).toBe(bobs);
    }, SOON);
    await backends[Number(bobs)]![Symbol.asyncDispose]();
  });

  test('a message goes out once, though its connection breaks; again only where the route allows it', async () => {
    await using pair = await MethodPair.start((asked) => {
      asked.fail(status.UNAVAILABLE, 'broken');
    });
    await using client = await pair.join();
    expect(await client.request('t.say')).toMatchObject({ code: 503 });
    expect(pair.backend.asked).toHaveLength(1);
    expect(await client.request('t.again')).toMatchObject({ code: 503 });
    expect(pair.backend.asked.length).toBeGreaterThan(2);
  });
});

describe('over TLS', () => {
  test('the backend is reached by its name, with a certificate of our own', async () => {
    const authority = new Authority();
    const [theirs, ours] = [authority.issue('backend'), authority.issue('gateway')];
    const pair = {
      cert_chain: Buffer.from(theirs.cert),
      private_key: Buffer.from(theirs.key),
    };
    await using backend = await MethodBackend.start({
      proto: ECHO_PROTO,
      service: 't.Echo',
      handler: echo,
      reflection: 'v1',
      credentials: ServerCredentials.createSsl(Buffer.from(authority.cert), [pair], true),
    });
    const tls = JSON.stringify({ ca: authority.cert, cert: ours.cert, key: ours.key });
    const port = backend.address.split(':')[1];
    await using gateway = await startGateway(`
backends: { echo: { grpc: "dns:///localhost:${port}", mode: method, services: [t.Echo], reflection: true, tls: ${tls} } }
routes: [{ match: t.say, backend: echo, method: /t.Echo/Say }]
`);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('t.say', { text: 'x' })).toEqual({ text: 'x' });
  });
});
