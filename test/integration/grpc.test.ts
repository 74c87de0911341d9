/** How the gateway reaches a gRPC backend, by Link and by Handle, and what it does about a bad one. */
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';

import type { Asked } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import { duration, toValue } from '../support/grpc-shapes.ts';
import { SOON } from '../support/wait.ts';

const hold = (): void => {};

describe('how a backend is reached', () => {
  test('by Link, where both sides say hello first', async () => {
    await using pair = await Pair.start({ more: ', metadata: { x-team: blue }' });
    await using client = await pair.join();
    await client.request('game.enter');
    const link = pair.backend.current;
    expect(link.frames.map(({ frame }) => frame)).toEqual(['hello', 'request']);
    expect(link.got('hello')[0]!.what).toMatchObject({
      gateway: pair.gateway.gateway.id,
      version: '0.0.0-test',
    });
    expect(link.metadata.get('x-team')).toEqual(['blue']);
    expect(await pair.logged('link')).toBe('connected to instance test-1');
  });

  test('by Handle where there is no Link, and by Link again when the backend has one', async () => {
    await using pair = await Pair.start({ link: 'unimplemented' });
    await using client = await pair.join();
    await client.request('game.enter');
    expect(pair.backend.requests[0]!.link).toBeNull();
    await pair.backend.kill();
    pair.backend.link = 'hello';
    await pair.backend.listen();
    // Nobody has asked meanwhile.
    await pair.backend.wait(() => pair.backend.links[0], 'a link');
    await pair.logged('link');
    await client.request('game.enter');
    expect(pair.backend.requests[1]!.link).not.toBeNull();
  });

  test('by Handle alone with mode: handle, with the metadata of the configuration', async () => {
    await using pair = await Pair.start({ more: ', mode: handle, metadata: { x-team: blue }' });
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toEqual({ n: 1, instance: 'test-1' });
    expect(pair.backend.links).toEqual([]);
    expect(pair.backend.handleMetadata[0]!.get('x-team')).toEqual(['blue']);
    // A new one at the same address is found by itself.
    await pair.backend.kill();
    await pair.backend.listen();
    await vi.waitFor(async () => {
      expect(await client.request('game.enter', { n: 2 })).toMatchObject({ n: 2 });
    }, SOON);
  });

  test('on a Unix socket', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pith-grpc-'));
    const [address, url] = [`unix:${dir}/game.sock`, `unix://${dir}/game.sock`];
    await using pair = await Pair.start({ address, url });
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toEqual({ n: 1, instance: 'test-1' });
    rmSync(dir, { recursive: true, force: true });
  });

  test('by name', async () => {
    await using pair = await Pair.start({ url: 'dns:///localhost:PORT' });
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toEqual({ n: 1, instance: 'test-1' });
  });
});

describe('a backend that is none', () => {
  test('one that never says hello serves nothing, and the log says what is missing', async () => {
    await using pair = await Pair.start({ link: 'silent' });
    await using client = await pair.join();
    expect(await client.request('game.enter')).toMatchObject({ code: 503 });
    expect(await pair.logged('away')).toContain("a Link's first frame must be BackendHello");
    pair.backend.link = 'hello';
    await pair.logged('link');
    expect(await client.request('game.enter')).toEqual({ instance: 'test-1' });
  });

  test('an HTTP server at its port: 503, and the log asks whether that speaks gRPC', async () => {
    const server = http.createServer((_, response) => response.end('hi')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await using pair = await Pair.start({ url: `ipv4:127.0.0.1:${port}` });
    await using client = await pair.join();
    expect(await client.request('game.enter')).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    expect(await pair.logged('away')).toContain('does this port speak gRPC?');
    server.closeAllConnections();
    server.close();
  });

  test('one that sends garbage loses its link and what is in flight, and is reached again', async () => {
    await using pair = await Pair.start({ handler: hold });
    await using client = await pair.join();
    for (const garbage of [
      Buffer.from([0x0a, 0x7f]),
      Buffer.from('\xff\xff\xffgarbage', 'latin1'),
    ]) {
      const ids = [client.send('game.enter', {}), client.send('game.enter', {})];
      const before = pair.backend.links.length;
      await pair.backend.request(before * 2 - 1);
      pair.backend.current.sendRaw(garbage);
      for (const id of ids) expect(await client.answer(id)).toMatchObject({ code: 503 });
      expect(await pair.logged('away')).toContain('a frame could not be read');
      await pair.backend.wait(() => pair.backend.links[before], 'the next link');
      await vi.waitFor(() => {
        expect(pair.gateway.gateway.info().backends[0]!).toMatchObject({ healthy: 1 });
      }, SOON);
    }
  });

  test('a reply by Handle that is none is 502; a status is what it means', async () => {
    const codes: [number, number][] = [
      [3, 400],
      [7, 403],
      [8, 503],
      [13, 500],
      [16, 401],
    ];
    await using pair = await Pair.start({
      more: ', mode: handle',
      handler: (asked) => {
        const code = asked.body['code'] as number;
        if (code === 0) asked.end(Buffer.from([0x0a, 0x7f]));
        else asked.end({ code, details: 'secret words' });
      },
    });
    await using client = await pair.join();
    expect(await client.request('game.enter', { code: 0 })).toMatchObject({ reason: 'BAD_REPLY' });
    for (const [code, expected] of codes) {
      const answer = await client.request('game.enter', { code });
      expect(answer['code']).toBe(expected);
      expect(answer['msg']).not.toContain('secret');
    }
  });

  test('a reply that no packet can hold is 502', async () => {
    await using pair = await Pair.start({
      handler: (asked) => {
        // As JSON each of these takes six bytes.
        const long = '\u0001'.repeat(3_000_000);
        if (asked.body['how'] === 'json') asked.reply({ body: { json: toValue(long) } });
        else if (asked.body['how'] === 'error')
          asked.reply({ error: { code: 418, message: long } });
        else if (asked.body['how'] === 'push')
          asked.answer({}, { pushes: [{ route: 'onLong', body: { json: toValue(long) } }] });
      },
    });
    await using client = await pair.join();
    expect(await client.request('game.long', { how: 'json' })).toMatchObject({
      code: 502,
      reason: 'BAD_REPLY',
    });
    // Of an error's text so much is passed on as people read.
    expect(await client.request('game.long', { how: 'error' })).toMatchObject({
      code: 418,
      msg: '\u0001'.repeat(1_024),
    });
    expect(await client.request('game.long', { how: 'push' })).toEqual({});
  });
});

describe('time', () => {
  test.for(['link', 'handle'])('the backend is told the deadline (mode: %s)', async (mode) => {
    await using pair = await Pair.start({ more: `, mode: ${mode}`, timeout: '7s' });
    await using client = await pair.join();
    await client.request('game.enter');
    const [asked] = pair.backend.requests as [Asked];
    expect(asked.request.timeout_ms).toBeGreaterThan(0);
    expect(asked.request.timeout_ms).toBeLessThanOrEqual(7_000);
    expect(asked.deadlineMs > 7_000).toBe(false);
    expect(asked.link === null).toBe(asked.deadlineMs > 0);
  });

  test.for(['link', 'handle'])('and that nobody waits any more (mode: %s)', async (mode) => {
    await using pair = await Pair.start({ more: `, mode: ${mode}`, timeout: '1s', handler: hold });
    await using client = await pair.join();
    await using leaver = await pair.join();
    leaver.send('game.enter', {});
    const left = await pair.backend.request(0);
    leaver.close();
    await pair.backend.wait(() => left.cancelled || undefined, 'a cancel as the client left');
    expect(await client.request('game.enter')).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    const late = await pair.backend.request(1);
    await pair.backend.wait(() => late.cancelled || undefined, 'a cancel as it is late');
  });

  test('a backend may ask for more, once', async () => {
    const extend = (asked: Asked, ms: number): void =>
      asked.link!.send({ id: asked.id, extend: { timeout: duration(ms) } });
    await using pair = await Pair.start({
      timeout: '300ms',
      handler: (asked) => {
        if (asked.route === 'game.plain') return;
        extend(asked, asked.route === 'game.long' ? 20_000 : 400);
        extend(asked, 20_000);
      },
    });
    await using client = await pair.join();
    const long = client.send('game.long', {});
    // Two timeouts later: one of a call without, and one of a call whose second extension did not count.
    expect(await client.request('game.plain')).toMatchObject({ reason: 'TIMEOUT' });
    expect(await client.request('game.short')).toMatchObject({ reason: 'TIMEOUT' });
    pair.backend.requests[0]!.answer({ done: true });
    expect(await client.answer(long)).toEqual({ done: true });
  });
});
