/** The program as a person or a container runs it: its commands, what it prints, and its exit codes. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { run, start } from '../support/process.ts';
import { configFile, pith, ROOT, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
};
const TWO_ROUTES = `
backends: { chat: { reply: { code: 200 } }, world: { grpc: "dns:///world:9000" } }
routes:
  - { match: "chat.>", backend: chat }
  - { match: "world.room.*", backend: world, order: serial, timeout: 3s, bound: true }
`;

describe('a wrong configuration', () => {
  test.each(['serve', 'check'])(
    '%s names every mistake with file, line and key, and ends with 78',
    async (command) => {
      using file = configFile(`
listen: [{ url: "udp://0.0.0.0:3010" }]
backends: { chat: { reply: {} } }
routes:
  - { match: "chat.>", backend: chta }
limits: { packet: 1 }
colour: red
`);
      const { code, output } = await pith(command, '--config', file.path);
      expect(code).toBe(78);
      const lines = output.trimEnd().split('\n');
      for (const start of [
        `${file.path}:2: listen[0].url: `,
        `${file.path}:5: routes[0].backend: `,
        `${file.path}:6: limits.packet: `,
        `${file.path}:7: colour: `,
      ])
        expect(
          lines.filter((line) => line.startsWith(start)),
          output,
        ).toHaveLength(1);
      expect(lines).toHaveLength(4);
      expect(output).toContain('did you mean "chat"?');
    },
  );

  test('a flag without a value ends it with 64', async () => {
    const { code, output } = await pith('check', '--set', 'log.level');
    expect(code).toBe(64);
    expect(output).toContain('KEY=VALUE');
  });
});

describe('commands', () => {
  test('check prints the route table', async () => {
    using file = configFile(TWO_ROUTES);
    const { code, output } = await pith('check', '--config', file.path);
    expect(output).toContain('ok: 2 backends, 2 routes\n');
    expect(output).toContain('chat.>       → chat (reply), 10s for the answer, order keep\n');
    expect(output).toContain(
      'world.room.* → world (grpc), 3s for the answer, order serial, bound sessions only\n',
    );
    expect(code).toBe(0);
  });

  test('docs writes the reference, and says what is not up to date', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pith-docs-'));
    const at = join(folder, 'pages');
    const metrics = join(at, 'metrics.md');
    const check = (): ReturnType<typeof pith> => pith('docs', at, '--check');
    expect(await check()).toMatchObject({ code: 1 });
    expect((await pith('docs', at)).output).toContain(`wrote ${metrics}\n`);
    expect(readFileSync(metrics, 'utf8')).toContain('| `pith_sessions` | gauge |');
    expect(await check()).toEqual({ code: 0, output: 'ok: 9 pages are up to date\n' });
    writeFileSync(metrics, '');
    expect(await check()).toEqual({
      code: 1,
      output: `${metrics} is not up to date\npith docs ${at} writes it\n`,
    });
    const under = join(metrics, 'more');
    expect(await pith('docs', under)).toEqual({
      code: 73,
      output: `pith: ${under}: no such file or folder\n`,
    });
    rmSync(folder, { recursive: true });
  });

  test('version prints the version of package.json', async () => {
    expect(await pith('version')).toEqual({ code: 0, output: `${version}\n` });
  });

  test('npm run pith serve passes a SIGTERM on, and leaves no process behind', async () => {
    using file = configFile(`
listen: [{ url: "auto://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
`);
    const words = ['run', '-s', 'pith', '--', 'serve', '--config', file.path];
    await using npm = await start('npm', words, { cwd: ROOT, ready: /"listening"/ });
    npm.kill('SIGTERM');
    // The output ends when the last process that writes to it does.
    expect(await npm.exited).toBe(0);
    expect(npm.output()).toContain('"stopped"');
  });

  test('npm run pith is the same', async () => {
    const { code, output } = await run('npm', ['run', '-s', 'pith', '--', 'version'], {
      cwd: ROOT,
    });
    expect({ code, output }).toEqual({ code: 0, output: `${version}\n` });
  });

  test('an unknown command ends with 64 and says which there are', async () => {
    const { code, output } = await pith('serf');
    expect(code).toBe(64);
    expect(output).toContain('unknown command serf');
    expect(output).toContain('pith serve');
  });
});

describe('more than a pipe holds', () => {
  const rules = (match: string): string => `  - { match: "${match}", backend: b }\n`.repeat(4_000);
  const yaml = (match: string): string =>
    `backends: { b: { reply: { code: 200 } } }\nroutes:\n${rules(match)}`;

  test.each([
    ['warnings', 'a.b', 0, 'never reached', 3_999],
    ['mistakes', 'a..b', 78, 'routes\\[3999\\]', 1],
  ])('of %s is written whole', async (_, match, exit, words, times) => {
    using file = configFile(yaml(match));
    const { code, output } = await pith('check', file.path);
    expect(code).toBe(exit);
    expect(output.match(new RegExp(words, 'g'))?.length).toBe(times);
  });
});

const COMMANDS = [
  ...['dev', 'init', 'serve', 'check', 'routes', 'health', 'schema', 'client', 'mock-backend'],
  ...['completion', 'docs', 'probe', 'top', 'version'],
];

describe('help', () => {
  test.each(COMMANDS)(
    '%s --help, -h and help of it print the same, and end with 0',
    async (command) => {
      const { code, output } = await pith(command, '--help');
      expect(code).toBe(0);
      expect(output).toMatch(new RegExp(`^pith ${command}`));
      expect(await pith(command, 'a', '--colour', '-h')).toEqual({ code, output });
      expect(await pith('help', command)).toEqual({ code, output });
    },
  );

  test.each([[[]], [['help']], [['--help']]])('%j lists the commands', async (args) => {
    const { code, output } = await pith(...args);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(output).toMatch(new RegExp(`^  pith ${command} `, 'm'));
  });
});

describe('wrong arguments end with 64 and say what to write', () => {
  test.each([
    [['srve'], 'pith: unknown command srve; did you mean "serve"?\n'],
    [['help', 'chek'], 'pith: unknown command chek; did you mean "check"?\n'],
    [['--config', 'a', 'serve'], 'pith: expected a command before --config, as in pith serve'],
    [['check', '--confg', 'a'], 'pith: unknown option --confg; did you mean "--config"?\n'],
    [['check', '--config'], 'pith: --config needs FILE\n'],
    [['check', '--config', '--set', 'a=b'], 'pith: --config needs FILE; if that is --set'],
    [['check', 'a', 'b'], 'pith: expected one FILE, not a b\n'],
    [['check', 'a', '-c', 'b'], 'pith: expected one FILE, not a and --config b\n'],
    [['check', '-c', 'a', '-c', 'b'], 'pith: -c is given twice\n'],
    [['check', '--set', '=x'], 'pith: --set =x: expected KEY=VALUE, as in --set log.level=debug\n'],
    [['routes'], 'pith: the route is missing; as in pith routes chat.room.join\n'],
    [['routes', 'a.b', 'c.d'], 'pith: expected one route, not a.b c.d\n'],
    [['routes', 'a.b', '--data', '{'], 'pith: --data {: expected a JSON object'],
    [['routes', 'a.b', '--data', '[1]'], 'pith: --data [1]: expected a JSON object'],
    [['version', 'now'], 'pith: version takes no arguments\n'],
    [['dev', 'x'], 'pith: dev takes no arguments\n'],
    [['schema', 'x'], 'pith: schema takes no arguments\n'],
    [['mock-backend', 'a.yaml'], 'pith mock-backend: a.yaml was not expected; answers come from'],
    [['mock-backend', '--listen', '9000'], 'pith mock-backend: --listen 9000: expected host:port'],
  ])('%j', async (args, said) => {
    const { code, output } = await pith(...args);
    expect(output.slice(0, said.length)).toBe(said);
    expect(output).not.toContain('at the end of the command after');
    expect(code).toBe(64);
  });
});

describe('the configurations that are shipped', () => {
  const shipped = readdirSync(join(ROOT, 'deploy'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /(^|\/)pith\.yaml$/.test(file) && !file.includes('node_modules'))
    .map((file) => join('deploy', file));

  test('are found', () => {
    expect(shipped).toContain('deploy/pith.yaml');
    expect(shipped.length).toBeGreaterThan(10);
  });

  // From elsewhere, since nobody should have to be in one folder for them.
  test.each(shipped)('check %s', async (file) => {
    const { code, output } = await run(
      process.execPath,
      [join(ROOT, 'src/main.ts'), 'check', join(ROOT, file)],
      { cwd: tmpdir() },
    );
    expect(output).toMatch(/^ok: /);
    expect(code).toBe(0);
  });
});

describe('the file', () => {
  test('may be named beside the command', async () => {
    using file = configFile(TWO_ROUTES);
    expect(await pith('check', file.path)).toEqual(await pith('check', '--config', file.path));
  });

  test('names paths from where it is, and --set and variables from the current folder', async () => {
    using file = configFile('pomelo: { config_dir: game }');
    const home = dirname(file.path);
    mkdirSync(join(home, 'game'));
    writeFileSync(join(home, 'game/dictionary.json'), '["onChat"]');
    mkdirSync(join(home, 'other/mine'), { recursive: true });
    writeFileSync(join(home, 'other/mine/dictionary.json'), '["onChat","onChat2"]');
    const check = (args: string[], env = {}) =>
      run(process.execPath, [join(ROOT, 'src/main.ts'), 'check', ...args], {
        cwd: join(home, 'other'),
        env,
      });
    expect(await check(['../pith.yaml'])).toMatchObject({ code: 0 });
    expect(await check(['../pith.yaml', '--set', 'pomelo.config_dir=mine'])).toMatchObject({
      code: 0,
    });
    const gone = `no such folder: ${home}/other/game\n`;
    expect(await check(['../pith.yaml', '--set', 'pomelo.config_dir=game'])).toEqual({
      code: 78,
      output: `--set pomelo.config_dir: pomelo.config_dir: ${gone}`,
    });
    expect(await check(['../pith.yaml'], { PITH_POMELO__CONFIG_DIR: 'game' })).toEqual({
      code: 78,
      output: `PITH_POMELO__CONFIG_DIR: pomelo.config_dir: ${gone}`,
    });
  });

  test.each(['serve', 'check'])('%s says all that is missing at once', async (command) => {
    using file = configFile(`
listen:
  - { url: "wss://127.0.0.1:0", tls: { cert: a.crt, key: a.key } }
pomelo: { config_dir: game }
nats: { creds: a.creds }
backends:
  web: { http: "https://web", tls: { ca: ca.pem } }
  lobby: { grpc: "lobby:1", mode: method, services: [a.B], descriptors: [a.binpb], protos: [proto] }
`);
    const home = dirname(file.path);
    const { code, output } = await pith(command, file.path);
    expect(output.trimEnd().split('\n')).toEqual([
      `${file.path}:3: listen[0].tls.cert: no such file: ${home}/a.crt`,
      `${file.path}:3: listen[0].tls.key: no such file: ${home}/a.key`,
      `${file.path}:4: pomelo.config_dir: no such folder: ${home}/game`,
      `${file.path}:5: nats.creds: no such file: ${home}/a.creds`,
      `${file.path}:7: backends.web.tls.ca: no such file: ${home}/ca.pem`,
      `${file.path}:8: backends.lobby.descriptors[0]: no such file: ${home}/a.binpb`,
      `${file.path}:8: backends.lobby.protos[0]: no such folder: ${home}/proto`,
    ]);
    expect(code).toBe(78);
  });

  test('what is in a file is judged with line and key', async () => {
    using file = configFile(`
listen:
  - { url: "wss://127.0.0.1:0", tls: { cert: bad.pem, key: bad.pem } }
backends:
  web: { http: "https://web", tls: { ca: bad.pem } }
  chat: { grpc: "chat:1", tls: { cert: bad.pem, key: bad.pem } }
  lobby: { grpc: "lobby:1", mode: method, services: [a.B], descriptors: [bad.pem] }
  rooms: { grpc: "rooms:1", mode: method, services: [a.B], protos: [proto] }
routes:
  - { match: "a.>", backend: rooms, method: /a.B/Gone }
pomelo: { config_dir: game }
`);
    const home = dirname(file.path);
    writeFileSync(join(home, 'bad.pem'), 'nothing');
    mkdirSync(join(home, 'proto'));
    const proto =
      'syntax = "proto3"; package a; message M {} service B { rpc One(M) returns (M); }';
    writeFileSync(join(home, 'proto/a.proto'), proto);
    mkdirSync(join(home, 'game'));
    writeFileSync(join(home, 'game/dictionary.json'), '[');
    const { code, output } = await pith('check', file.path);
    expect(output.trimEnd().split('\n')).toEqual([
      expect.stringMatching(
        `^${file.path}:3: listen\\[0\\]\\.tls\\.cert: ${home}/bad.pem has no cert`,
      ),
      expect.stringMatching(`^${file.path}:5: backends.web.tls.ca: ${home}/bad.pem has no cert`),
      expect.stringMatching(`^${file.path}:6: backends.chat.tls.cert: ${home}/bad.pem has no cert`),
      expect.stringMatching(`^${file.path}:7: backends.lobby.descriptors: no service a.B`),
      expect.stringMatching(`^${file.path}:7: backends.lobby.descriptors: ${home}/bad.pem: not a`),
      expect.stringMatching(`^${file.path}:10: routes\\[0\\].method: no method /a.B/Gone`),
      expect.stringMatching(
        `^${file.path}:11: pomelo.config_dir: ${home}/game/dictionary.json: is`,
      ),
    ]);
    expect(code).toBe(78);
  });

  test('that is a folder, or not there, is said so', async () => {
    using file = configFile('id: a');
    const home = dirname(file.path);
    expect(await pith('check', home)).toEqual({
      code: 78,
      output: `${home}: cannot be read: it is a folder\n`,
    });
    expect(await pith('check', '/nowhere/pith.yaml')).toEqual({
      code: 78,
      output: '/nowhere/pith.yaml: cannot be read: no such file or folder\n',
    });
  });

  test('that is not UTF-8 is refused, and so is a secret that it refers to', async () => {
    using file = configFile('');
    const home = dirname(file.path);
    writeFileSync(file.path, Buffer.from('id: zo\xeb\n', 'latin1'));
    const { code, output } = await pith('check', file.path);
    expect([code, output]).toEqual([78, `${file.path}: cannot be read: it is not UTF-8\n`]);
    // As of openssl rand 64 > secret: whoever signs with these bytes would sign with others.
    writeFileSync(join(home, 'secret'), Buffer.alloc(64, 0x9e));
    const jwt = 'algorithms: [HS256], secrets: ["${file:secret}"]';
    writeFileSync(file.path, `auth: { mode: jwt, jwt: { ${jwt} } }\n`);
    expect((await pith('check', file.path)).output).toBe(
      `${file.path}:1: auth.jwt.secrets[0]: cannot read ${home}/secret: it is not UTF-8\n`,
    );
  });

  test('is not needed: serve says what then holds, and that nobody is served', async () => {
    using file = configFile('');
    const home = join(dirname(file.path), 'empty');
    mkdirSync(home);
    const ports = ['listen.0.url=auto://127.0.0.1:0', 'health.listen=127.0.0.1:0'];
    const sets = [...ports, 'control.listen=127.0.0.1:0', 'admin.listen=127.0.0.1:0'];
    const args = sets.flatMap((one) => ['--set', one]);
    await using served = await start(
      process.execPath,
      [join(ROOT, 'src/main.ts'), 'serve', ...args],
      {
        cwd: home,
        ready: /"listening"/,
      },
    );
    expect(served.output()).toContain(
      `warning: there is no pith.yaml in ${home}: PITH_ variables, --set and the defaults are the whole configuration\n` +
        'warning: there are no routes: every request is answered 404 NO_ROUTE\n',
    );
    const nothing = await run(process.execPath, [join(ROOT, 'src/main.ts'), 'check'], {
      cwd: home,
    });
    expect(nothing.output).toContain(`there is no pith.yaml in ${home}: nothing to check\n`);
    expect(nothing.code).toBe(78);
  });
});

test('routes ends with 0 where a backend is reached, else with 1', async () => {
  using file = configFile(
    `${TWO_ROUTES}
  - { match: "room.*", backend: rooms, method: "/a.B/{method}" }
`.replace(
      'backends: {',
      'backends: { rooms: { grpc: "rooms:1", mode: method, services: [a.B], protos: [proto] },',
    ),
  );
  const home = dirname(file.path);
  mkdirSync(join(home, 'proto'));
  const proto =
    'syntax = "proto3"; package a; message M {} service B { rpc JoinRoom(M) returns (M); }';
  writeFileSync(join(home, 'proto/a.proto'), proto);
  const joined = await pith('routes', 'room.join_room', '--config', file.path);
  expect(joined.output).toContain('  backend rooms: grpc rooms:1, method /a.B/JoinRoom\n');
  expect(joined.code).toBe(0);
  const gone = await pith('routes', 'room.join_rom', '--config', file.path);
  expect(gone.output).toContain(
    '404 NO_ROUTE: no method /a.B/join_rom or /a.B/JoinRom in the listed services; did you mean "/a.B/JoinRoom"?',
  );
  expect(gone.code).toBe(1);
  expect(await pith('routes', 'no.where', '--config', file.path)).toMatchObject({ code: 1 });
});

describe('serve', () => {
  test.each(['listen[0].url', 'health.listen', 'admin.listen', 'control.listen'])(
    'a port of %s that is taken ends it with 71 and the name of the key',
    async (key) => {
      const taken = net.createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const address = `127.0.0.1:${(taken.address() as net.AddressInfo).port}`;
      const listens: Record<string, string> = {
        'listen[0].url': 'auto://127.0.0.1:0',
        'health.listen': '127.0.0.1:0',
        'admin.listen': '127.0.0.1:0',
        'control.listen': '127.0.0.1:0',
        [key]: key === 'listen[0].url' ? `auto://${address}` : address,
      };
      using file = configFile(
        `listen: [{ url: "${listens['listen[0].url']}" }]\n` +
          ['health', 'admin', 'control']
            .map((name) => `${name}: { listen: "${listens[`${name}.listen`]}" }\n`)
            .join(''),
      );
      const { code, output } = await pith('serve', '--config', file.path);
      taken.close();
      expect(output).toContain(`${key}: cannot listen on ${listens[key]}: `);
      expect(code).toBe(71);
    },
  );

  test('log.level: debug shows the routes at the start and a line for each message', async () => {
    await using served = await serve(TWO_ROUTES, '--set', 'log.level=debug');
    await using client = await TestClient.connect(served.port);
    await client.request('chat.room.join');
    client.notify('chat.room.leave', {});
    await client.request('nowhere.a');
    await eventually(
      () => served.log().some(({ msg }) => msg === 'message refused'),
      'the last line',
    );
    const log = served.log();
    expect(log.filter(({ msg }) => / → (chat|world) /.test(msg))).toHaveLength(2);
    const messages = log.filter(({ msg }) => msg === 'message');
    expect(messages).toMatchObject([
      { level: 'debug', route: 'chat.room.join', notify: false, outcome: 'ok', seq: 1 },
      { level: 'debug', route: 'chat.room.leave', notify: true, outcome: 'ok', seq: 2 },
    ]);
    expect(log.find(({ msg }) => msg === 'message refused')).toMatchObject({
      route: 'nowhere.a',
      reason: 'NO_ROUTE',
    });
  });
});
