/** The configuration of a running gateway is replaced: what applies, what does not, and who notices. The real process. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { type Asked, echo, GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { start } from '../support/process.ts';
import { configFile, MAIN, pith, serve, type Served } from '../support/serve.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

type Outcome = { changed?: string[]; needs_restart?: string[]; errors?: string[] };

/** By Control, on the admin port. */
async function reload(served: Served): Promise<Outcome> {
  const response = await fetch(`http://127.0.0.1:${served.adminPort}/v1/Reload`, {
    method: 'POST',
    body: '{}',
  });
  const outcome = (await response.json()) as Outcome;
  return Object.fromEntries(Object.entries(outcome).filter(([, keys]) => keys.length > 0));
}

async function metric(served: Served, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${served.healthPort}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

const REPLY = (answer: string): string => `{ reply: { from: ${answer} } }`;
const reply = (from: string): string => `
reload: { watch: false }
backends: { one: ${REPLY(from)} }
routes: [{ match: "a.>", backend: one }]
`;

describe('what takes effect', () => {
  test('routes and backends, for a session that is open and with nothing of it touched', async () => {
    await using first = await GrpcBackend.start({ instance: 'first' });
    await using second = await GrpcBackend.start({ instance: 'second' });
    const held: Asked[] = [];
    first.handler = (asked) => {
      if (asked.route === 'old.slow') held.push(asked);
      else echo(asked);
    };
    const base = (backends: string, routes: string): string =>
      `reload: { watch: false }\nbackends: { ${backends} }\nroutes: [${routes}]\n`;
    const OLD = `old: { grpc: "${first.url}" }`;
    const TO_OLD = '{ match: "old.>", backend: old }';
    await using served = await serve(base(OLD, TO_OLD));
    await using client = await TestClient.connect(served.port);
    expect(await client.request('old.one')).toMatchObject({ instance: 'first' });
    expect(await client.request('new.one')).toMatchObject({ code: 404 });

    // One more: the connections of the old one stay.
    served.rewrite(
      base(`${OLD}, new: { grpc: "${second.url}" }`, `${TO_OLD}, { match: "new.>", backend: new }`),
    );
    expect(await reload(served)).toEqual({ changed: ['backends.new', 'routes[1]'] });
    expect(await client.request('new.one')).toMatchObject({ instance: 'second' });
    expect(await client.request('old.one')).toMatchObject({ instance: 'first' });
    expect(first.links).toHaveLength(1);

    // The first is gone while it still owes an answer.
    const slow = client.send('old.slow', { n: 1 });
    await eventually(() => held[0], 'the slow request');
    served.rewrite(
      base(`new: { grpc: "${second.url}" }`, '{ match: ">", backend: new, timeout: 20s }'),
    );
    expect(await reload(served)).toEqual({
      changed: ['backends.old', 'routes[0]', 'routes[1]'],
    });
    expect(await client.request('old.one')).toMatchObject({ instance: 'second' });
    expect(await metric(served, 'pith_requests_in_flight{backend="old"}')).toBeNaN();
    expect(first.links[0]!.isOpen).toBe(true);
    held[0]!.answer({ late: true });
    expect(await client.answer(slow)).toEqual({ late: true });
    await eventually(() => !first.links[0]!.isOpen, 'the end of the link that nothing uses');
    expect(await client.request('x.y')).toMatchObject({ instance: 'second' });
    expect(client.isEnded).toBe(false);
    expect(client.received.filter(({ kind }) => kind === 'kick')).toEqual([]);
  });

  type Moving = AsyncDisposable & { readonly at: string };
  const from = (instance: string) => ({
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instance }),
  });
  const kinds: [string, (instance: string) => Promise<Moving>][] = [
    ['a Link', (instance) => grpcAt(instance, '')],
    ['Handle', (instance) => grpcAt(instance, ', mode: handle')],
    [
      'HTTP',
      async (instance) => {
        const backend = await HttpBackend.start(() => from(instance));
        return { at: `http: "${backend.url}"`, [Symbol.asyncDispose]: () => backend.stop() };
      },
    ],
    [
      'a Unix socket',
      async (instance) => {
        const socket = socketPath();
        const backend = await IpcBackend.start(socket.path, () => ({ payload: { instance } }));
        return {
          at: `ipc: "unix:${socket.path}"`,
          async [Symbol.asyncDispose]() {
            await backend.stop();
            socket[Symbol.dispose]();
          },
        };
      },
    ],
  ];
  async function grpcAt(instance: string, mode: string): Promise<Moving> {
    const backend = await GrpcBackend.start({ instance });
    return {
      at: `grpc: "${backend.url}"${mode}`,
      [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
    };
  }

  test.each(kinds)('the address of %s: nothing is left unanswered meanwhile', async (_, start) => {
    await using before = await start('before');
    await using after = await start('after');
    const config = ({ at }: Moving): string =>
      `reload: { watch: false }\nbackends: { one: { ${at} } }\nroutes: [{ match: ">", backend: one }]\n`;
    await using served = await serve(config(before));
    const clients = await Promise.all(
      Array.from({ length: 5 }, () => TestClient.connect(served.port)),
    );
    let isMoved = false;
    const playing = clients.map(async (client) => {
      const came: unknown[] = [];
      // Four in flight at a time, until well after the move.
      for (let left = 20; left > 0; left -= isMoved ? 1 : 0) {
        const ids = Array.from({ length: 4 }, () => client.send('a.b', {}));
        for (const id of ids) came.push((await client.answer(id))['instance']);
      }
      return came;
    });
    served.rewrite(config(after));
    expect(await reload(served)).toEqual({ changed: ['backends.one'] });
    isMoved = true;
    for (const came of await Promise.all(playing)) {
      const turned = came.indexOf('after');
      expect(came.slice(0, turned).every((instance) => instance === 'before')).toBe(true);
      expect(came.slice(turned).every((instance) => instance === 'after')).toBe(true);
      expect(came.length - turned).toBeGreaterThanOrEqual(72);
    }
    for (const client of clients) expect(client.isEnded).toBe(false);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });

  test('a changed backend gets nothing of a session before the one before has answered', async () => {
    await using before = await GrpcBackend.start({ instance: 'before' });
    await using after = await GrpcBackend.start({ instance: 'after' });
    const held: Asked[] = [];
    before.handler = (asked) => held.push(asked);
    const config = ({ url }: GrpcBackend): string => `
reload: { watch: false }
backends: { one: { grpc: "${url}" } }
routes: [{ match: "any.>", backend: one, order: none }, { match: ">", backend: one }]`;
    await using served = await serve(config(before));
    await using busy = await TestClient.connect(served.port);
    await using idle = await TestClient.connect(served.port);
    const first = busy.request('a.b', { n: 1 });
    await eventually(() => held.length === 1, 'the first request');
    served.rewrite(config(after));
    expect(await reload(served)).toEqual({ changed: ['backends.one'] });
    const second = busy.request('a.b', { n: 2 });
    expect(await idle.request('a.b', { n: 3 })).toMatchObject({ n: 3, instance: 'after' });
    expect(await busy.request('any.b', { n: 4 })).toMatchObject({ n: 4, instance: 'after' });
    expect(after.requests.map(({ body }) => body['n'])).toEqual([3, 4]);
    held[0]!.answer({ instance: 'before' });
    expect([await first, await second]).toEqual([
      { instance: 'before' },
      { n: 2, instance: 'after' },
    ]);
  });

  test('limits of a session that is open, and the level of the log', async () => {
    await using served = await serve(reply('one'));
    await using client = await TestClient.connect(served.port);
    for (let i = 0; i < 5; i++) expect(await client.request('a.b')).toMatchObject({ from: 'one' });
    served.rewrite(
      `${reply('one')}\nlimits: { messages_per_second: 1, burst: 1 }\nlog: { level: debug }\n`,
    );
    expect(await reload(served)).toEqual({
      changed: ['limits.burst', 'limits.messages_per_second', 'log.level'],
    });
    await client.request('a.b');
    expect(await client.request('a.b')).toMatchObject({ code: 429 });
    expect(served.log().some((line) => line.msg === 'message')).toBe(true);
  });

  test('how long a session that is open may say nothing, and how long later ones may last', async () => {
    const config = (more: string): string =>
      `${reply('one')}\nlimits: { assemble: 200ms }\n${more}`;
    await using served = await serve(config(''));
    await using idle = await TestClient.connect(served.port);
    served.rewrite(config('').replace('200ms', '200ms, idle: 300ms'));
    expect(await reload(served)).toEqual({ changed: ['limits.idle'] });
    await idle.ended;
    served.rewrite(config(''));
    await reload(served);
    await using before = await TestClient.connect(served.port);
    served.rewrite(config('sessions: { max_age: 1s }'));
    expect(await reload(served)).toEqual({ changed: ['sessions.max_age'] });
    await using after = await TestClient.connect(served.port);
    await after.ended;
    expect(before.isEnded).toBe(false);
    const ends = served.log().filter(({ msg }) => msg === 'session closed');
    expect(ends.map(({ reason }) => reason)).toEqual(['idle_timeout', 'max_age']);
  });

  test('the keys of session data that the end of a session tells', async () => {
    const closed: string[] = [];
    await using backend = await HttpBackend.start((asked) => {
      if (asked.path === '/pith/closed') closed.push(asked.body.toString());
      return { headers: { 'Pith-Set': '{"room":"r1","seat":3}' }, body: '{}' };
    });
    const config = (forward: string): string =>
      `reload: { watch: false }\nbackends: { one: { http: "${backend.url}" } }\nroutes: [{ match: ">", backend: one, forward: [${forward}] }]\n`;
    await using served = await serve(config(''));
    await using client = await TestClient.connect(served.port);
    await client.request('a.b');
    served.rewrite(config('room'));
    expect(await reload(served)).toEqual({ changed: ['routes[0]'] });
    await client.request('a.b');
    // Not by what was encoded before.
    expect(backend.asked[1]!.headers['pith-data']).toBe('{"room":"r1"}');
    client.close();
    await eventually(() => closed[0], 'the end');
    expect(JSON.parse(closed[0]!)).toMatchObject({ session: { data: { room: 'r1' } } });
    expect(backend.connections).toBe(1);
  });

  test('a certificate for a backend, in a file that has changed', async () => {
    const authority = new Authority();
    await using backend = await GrpcBackend.start({
      tls: { ...authority.issue('backend'), ca: authority.cert },
    });
    using secret = new SecretFolder(authority.issue('gateway'), authority.cert);
    const port = backend.address.split(':')[1]!;
    await using served = await serve(
      `reload: { watch: false }\nbackends: { one: { grpc: "dns:///localhost:${port}", tls: { ca: ${secret.ca}, cert: ${secret.cert}, key: ${secret.key} } } }\nroutes: [{ match: ">", backend: one }]\n`,
    );
    await using client = await TestClient.connect(served.port);
    expect(await client.request('a.b')).toMatchObject({ instance: 'test-1' });
    expect(await reload(served)).toEqual({});
    expect(backend.links).toHaveLength(1);
    secret.replace(authority.issue('gateway'), authority.cert);
    expect(await reload(served)).toEqual({ changed: ['backends.one'] });
    expect(await client.request('a.b')).toMatchObject({ instance: 'test-1' });
    expect(backend.links).toHaveLength(2);
    // One that cannot be used changes nothing.
    secret.replace({ cert: 'no certificate', key: 'no key' }, authority.cert);
    expect((await reload(served)).errors![0]).toMatch(/backends\.one\.tls/);
    expect(await client.request('a.b')).toMatchObject({ instance: 'test-1' });
  });

  test('the backend that is asked at the handshake', async () => {
    await using before = await GrpcBackend.start();
    await using after = await GrpcBackend.start();
    const config = (url: string): string =>
      `reload: { watch: false }\nauth: { mode: connect, backend: one }\nbackends: { one: { grpc: "${url}" } }\nroutes: [{ match: ">", backend: one }]\n`;
    await using served = await serve(config(before.url));
    await using first = await TestClient.connect(served.port);
    await first.request('a.b');
    served.rewrite(config(after.url));
    await reload(served);
    await using second = await TestClient.connect(served.port);
    await second.request('a.b');
    expect([before.connects.length, after.connects.length]).toEqual([1, 1]);
  });
});

describe('what does not', () => {
  test.each([
    [
      'errors, all of them with their places',
      `${reply('two')}nonsense: 1\nlimits: { burst: 0 }\n`,
      {
        errors: [
          expect.stringMatching(/pith\.yaml:\d+: nonsense: unknown key/),
          expect.stringMatching(/pith\.yaml:\d+: limits\.burst: expected/),
        ],
      },
      'configuration not reloaded: it has errors',
    ],
    [
      'no YAML',
      'backends: {',
      { errors: [expect.stringMatching(/pith\.yaml:\d+: not valid YAML/)] },
      'configuration not reloaded: it has errors',
    ],
    [
      'a key that needs a restart, with one that does not',
      `${reply('two')}heartbeat: 7s\nbus_admin: true\n`,
      {
        changed: ['backends.one', 'bus_admin', 'heartbeat'],
        needs_restart: ['bus_admin', 'heartbeat'],
      },
      'configuration not reloaded: some of it needs a restart, so nothing was changed',
    ],
    [
      'a file that is not there',
      `${reply('two')}`.replace(
        'one: {',
        'tls: { grpc: "ipv4:127.0.0.1:9", tls: { ca: /nowhere/ca.pem } }, one: {',
      ),
      { errors: [expect.stringMatching(/backends\.tls\.tls\.ca: .*\/nowhere\/ca\.pem/)] },
      'configuration not reloaded: it has errors',
    ],
    ['nothing', reply('one'), {}, 'configuration reloaded'],
  ])('%s', async (_, yaml, outcome, line) => {
    await using served = await serve(reply('one'));
    await using client = await TestClient.connect(served.port);
    expect(await metric(served, 'pith_config_last_reload_successful')).toBe(1);
    served.rewrite(yaml);
    expect(await reload(served)).toEqual(outcome);
    await served.logged(line);
    const isRefused = line !== 'configuration reloaded';
    expect(await metric(served, 'pith_config_last_reload_successful')).toBe(isRefused ? 0 : 1);
    const result = isRefused ? 'refused' : 'unchanged';
    expect(await metric(served, `pith_config_reloads_total{result="${result}"}`)).toBe(1);
    expect(await client.request('a.b')).toEqual({ from: 'one' });
    // It can be put right.
    served.rewrite(reply('three'));
    expect(await reload(served)).toEqual({ changed: ['backends.one'] });
    expect(await client.request('a.b')).toEqual({ from: 'three' });
    expect(await metric(served, 'pith_config_last_reload_successful')).toBe(1);
  });
});

describe('a file without a word', () => {
  const AT_HOME = `
listen: [{ url: "tcp://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { format: json }
`;

  test('that need not be there at the start: gone or empty later, it takes nothing away', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'pith-home-'));
    const file = join(cwd, 'pith.yaml');
    writeFileSync(file, AT_HOME + reply('one'));
    const ready = /"clients":\["tcp:\/\/127\.0\.0\.1:(\d+)"\].*"listening"}/;
    await using running = await start(process.execPath, [MAIN, 'serve'], { cwd, ready });
    const [, port] = await running.waitFor(ready);
    await using client = await TestClient.connect(Number(port), 'tcp');
    const hup = async (line: RegExp): Promise<void> => {
      running.kill('SIGHUP');
      await running.waitFor(line);
      expect(await client.request('a.b')).toEqual({ from: 'one' });
    };
    rmSync(file);
    await hup(/"errors":\["pith\.yaml: cannot be read: no such file[^"]*"\]/);
    writeFileSync(file, '\n');
    await hup(
      /"errors":\["pith\.yaml: is empty, and was not before; if it is meant to say nothing, write {}"\]/,
    );
    writeFileSync(file, AT_HOME + reply('one'));
    await hup(/"changed":\[\],"msg":"configuration reloaded"/);
    rmSync(cwd, { recursive: true });
  });

  test('--live that was emptied takes nothing away; {} does', async () => {
    using live = configFile(`backends: { one: ${REPLY('live')} }\n`);
    await using served = await serve(reply('main'), '--live', live.path);
    await using client = await TestClient.connect(served.port);
    writeFileSync(live.path, '');
    expect(await reload(served)).toEqual({
      errors: [
        `${live.path}: is empty, and was not before; if it is meant to say nothing, write {}`,
      ],
    });
    expect(await client.request('a.b')).toEqual({ from: 'live' });
    writeFileSync(live.path, '{}\n');
    expect(await reload(served)).toEqual({ changed: ['backends.one'] });
    expect(await client.request('a.b')).toEqual({ from: 'main' });
  });
});

describe('what asks for it', () => {
  test('SIGHUP', async () => {
    await using served = await serve(reply('one'));
    await using client = await TestClient.connect(served.port);
    served.rewrite(reply('two'));
    served.running.kill('SIGHUP');
    expect(await served.logged('configuration reloaded')).toMatchObject({
      why: 'SIGHUP',
      changed: ['backends.one'],
    });
    expect(await client.request('a.b')).toEqual({ from: 'two' });
  });

  test('a file that has changed, once it stays as it is', async () => {
    const watched = (from: string): string => reply(from).replace('watch: false', 'watch: true');
    await using served = await serve(watched('one'));
    await using client = await TestClient.connect(served.port);
    served.rewrite(watched('two'));
    await served.logged('configuration reloaded');
    expect(await client.request('a.b')).toEqual({ from: 'two' });
  });

  test('many at once: it is applied once, and all are answered', async () => {
    await using served = await serve(reply('one'));
    served.rewrite(reply('two'));
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => reload(served)));
    const applied = outcomes.filter(({ changed }) => changed !== undefined);
    expect(applied.length).toBeGreaterThanOrEqual(1);
    for (const outcome of outcomes)
      expect([{ changed: ['backends.one'] }, {}]).toContainEqual(outcome);
    await using client = await TestClient.connect(served.port);
    expect(await client.request('a.b')).toEqual({ from: 'two' });
  });

  test('a gateway that drains is left as it is', async () => {
    await using served = await serve(`${reply('one')}drain: { accept_for: 5s }\n`);
    await using client = await TestClient.connect(served.port);
    served.running.kill('SIGTERM');
    await served.logged('draining');
    served.rewrite(reply('two'));
    expect(await reload(served)).toEqual({ errors: ['the gateway is draining'] });
    expect(await client.request('a.b')).toEqual({ from: 'one' });
    served.running.kill('SIGTERM');
  });
});

describe('--live', () => {
  /** As Kubernetes mounts a ConfigMap: files behind a link that is swapped. */
  function mounted(text: string) {
    const dir = mkdtempSync(join(tmpdir(), 'pith-live-'));
    let n = 0;
    const put = (next: string): void => {
      n++;
      mkdirSync(join(dir, `..${n}`));
      writeFileSync(join(dir, `..${n}`, 'live.yaml'), next);
      symlinkSync(`..${n}`, join(dir, '..data_tmp'));
      renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    };
    put(text);
    symlinkSync('..data/live.yaml', join(dir, 'live.yaml'));
    return {
      path: join(dir, 'live.yaml'),
      put,
      [Symbol.dispose]() {
        rmSync(dir, { recursive: true });
      },
    };
  }

  test('wins over the file, and is watched, however it is replaced', async () => {
    using live = mounted(`backends: { one: ${REPLY('live')} }`);
    const main = reply('main').replace('watch: false', 'watch: true');
    await using served = await serve(main, '--live', live.path);
    await using client = await TestClient.connect(served.port);
    expect(await client.request('a.b')).toEqual({ from: 'live' });
    live.put('log: { level: debug }');
    expect(await served.logged('configuration reloaded')).toMatchObject({
      why: `${live.path} has changed`,
      changed: ['backends.one', 'log.level'],
    });
    expect(await client.request('a.b')).toEqual({ from: 'main' });
  });

  test('holds nothing that a reload cannot apply', async () => {
    using live = mounted('log:\n  level: warn\n  format: json\nbus_admin: true\n');
    const { code, output } = await pith('check', 'deploy/demo/pith.yaml', '--live', live.path);
    expect(code).toBe(78);
    expect(output).toBe(
      `${live.path}:3: log.format: a reload cannot apply it; set it in deploy/demo/pith.yaml\n` +
        `${live.path}:4: bus_admin: a reload cannot apply it; set it in deploy/demo/pith.yaml\n`,
    );
  });

  test('has its own places in what is wrong', async () => {
    using live = mounted('routes:\n  - match: ">"\n    backend: nobody\n');
    const { code, output } = await pith('check', 'deploy/demo/pith.yaml', '--live', live.path);
    expect(code).toBe(78);
    expect(output).toMatch(new RegExp(`^${live.path}:3: routes\\[0\\]\\.backend: `));
    expect((await pith('check', '--live', '/nowhere/live.yaml')).output).toMatch(
      /^\/nowhere\/live\.yaml: cannot be read: /,
    );
  });
});
