/** The program as a person or a container runs it: its commands, what it prints, and its exit codes. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
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

  test('a file that is not there ends it with 78', async () => {
    const { code, output } = await pith('check', '--config', '/nowhere/pith.yaml');
    expect(code).toBe(78);
    expect(output).toMatch(/^\/nowhere\/pith\.yaml: cannot be read: /);
  });

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
    expect(output).toContain('chat.>       → chat (reply), 10000 ms, order keep\n');
    expect(output).toContain(
      'world.room.* → world (grpc), 3000 ms, order serial, bound sessions only\n',
    );
    expect(code).toBe(0);
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
    expect(output).toContain('there is no command serf');
    expect(output).toContain('pith serve');
  });
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
