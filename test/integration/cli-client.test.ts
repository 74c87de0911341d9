/** `pith client` against a real gateway and the chat in TypeScript: once, from a pipe, and for a person. */
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { encodeJsonPacket, packetOffset, PacketType } from '../../src/protocol/packet.ts';
import { CHAT_ROUTES } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { startTsChat } from '../support/examples.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { freePort, run, type Running, start } from '../support/process.ts';
import { pith, ROOT } from '../support/serve.ts';
import { startTerminal } from '../support/terminal.ts';
import { startTlsGateway } from '../support/tls-gateway.ts';
import { Authority, SecretFolder } from '../support/tls.ts';

const JOIN = '{"name":"ann","room":"lobby"}';
const CONFIG = `
heartbeat: 1s
backends: { chat: { grpc: "$CHAT" } }
${CHAT_ROUTES}`;

let chat: Running & { address: string };
let gateway: TestGateway;
let url: string;

beforeAll(async () => {
  chat = await startTsChat();
  gateway = await startGateway(CONFIG.replace('$CHAT', chat.address));
  url = `ws://127.0.0.1:${gateway.port}`;
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await chat[Symbol.asyncDispose]();
});

describe('pith client --request', () => {
  test.each(['ws', 'tcp'])('prints the answer over %s and ends with 0', async (scheme) => {
    const where = `${scheme}://127.0.0.1:${gateway.port}`;
    const { code, output } = await pith(
      'client',
      where,
      '--request',
      'chat.room.join',
      '--data',
      JOIN,
    );
    expect(output).toBe(
      `connected to ${where}, handshake {"code":200,"sys":{"heartbeat":1}}\n` +
        `{"code":200,"room":"lobby"}\n`,
    );
    expect(code).toBe(0);
  });

  test('has nothing but the answer on stdout', async () => {
    const terminal = startTerminal([url, '--request', 'chat.room.join', '--data', JOIN]);
    expect(await terminal.exitCode).toBe(0);
    expect(terminal.stdout()).toBe('{"code":200,"room":"lobby"}\n');
  });

  test('ends with 1 on an error answer', async () => {
    const terminal = startTerminal([url, '--request', 'chat.room.send']);
    expect(await terminal.exitCode).toBe(1);
    expect(terminal.stdout()).toMatch(/^\{"code":400,"reason":"NOT_IN_ROOM"/);
  });

  test('ends with 69 when it cannot connect', async () => {
    const where = `ws://127.0.0.1:${await freePort()}`;
    const { code, output } = await pith('client', where, '--request', 'a.b');
    expect(output).toBe(`pith: cannot connect to ${where}: connection refused\n`);
    expect(code).toBe(69);
  });

  test('waits for pushes, and keeps its heartbeats meanwhile', async () => {
    const began = performance.now();
    const args = ['--request', 'chat.room.join', '--data', JOIN, '--wait-pushes', '3500ms'];
    const terminal = startTerminal([url, ...args]);
    await terminal.sees(/"room":"lobby"\}\n/);
    await using bob = await TestClient.connect(gateway.port);
    await bob.request('chat.room.join', { name: 'bob', room: 'lobby' });
    await bob.request('chat.room.send', { text: 'hi' });
    await terminal.sees(/^onJoin \{"name":"bob"\}\nonChat \{"from":"bob","text":"hi"\}\n/m);
    expect(await terminal.exitCode).toBe(0);
    expect(performance.now() - began).toBeGreaterThan(3_400);
    expect(terminal.stderr()).not.toContain('disconnected');
  });

  test.each([
    [['localhost:3010'], 'is not the URL of a server'],
    [['ws://a', 'ws://b'], 'expected one URL'],
    [['--request', 'a.b', '--data', '{x'], 'is not JSON'],
    [['--data', '{}'], '--data goes with --request'],
    [['--user', '{token'], 'is not JSON'],
    [['--request', 'a.b', '--timeout', '5'], 'expected a duration'],
    [['--request', 'a.b', '--timeout', '0s'], 'expected more than 0'],
    [['--request', 'a.b', '--timeout', '1000h'], 'at most 24 days'],
    [['--dialect', 'morse'], 'expected one of pomelo, pitaya, nano, json'],
    [['tcp://a:1', '--dialect', 'json'], 'goes over WebSocket'],
    [['tls://a'], 'is not the URL of a server'],
    [['ws://a', '--insecure'], '--insecure goes with wss:// or tls://'],
    [['--ca', 'ca.pem'], '--ca goes with wss:// or tls://'],
    [['wss://a', '--ca', '/no/such/file'], '--ca /no/such/file cannot be read: no such file'],
    [['--colour'], 'unknown option --colour'],
    [['--ca'], '--ca needs FILE'],
    [['--dta', '{}'], 'unknown option --dta; did you mean "--data"?'],
    [['--request', 'a.b', '--data', '-5'], 'write --data=-5'],
    [['--insecure=yes'], '--insecure takes no value'],
    [['--dialect', 'nano', '--dialect', 'json'], '--dialect is given twice'],
    [['--request', ''], 'expected a route'],
  ])('refuses %j with 64', async (args, why) => {
    const terminal = startTerminal(args);
    expect(await terminal.exitCode).toBe(64);
    expect(terminal.stderr()).toContain(why);
  });
});

describe('pith client --dialect', () => {
  test.each([
    ['pitaya', 'auto', 'chat.room.join', '{"code":"PIT-404","msg":'],
    ['nano', 'auto', 'Room.Join', 'Room.Nope was not answered in 2000 ms'],
    ['json', 'ws', 'chat.room.join', '{"code":404,"reason":"NO_ROUTE",'],
  ])('%s asks, is pushed to, and tells an error', async (dialect, scheme, route, refusal) => {
    await using backend = await startLinkBackend((request) => {
      const body = { bytes: Buffer.from('{"text":"hi"}') };
      request.answer({ code: 200 }, { pushes: [{ route: 'onChat', body }] });
    });
    await using own = await startGateway(`
listen: [{ url: "${scheme}://127.0.0.1:0", dialect: ${dialect} }]
backends: { chat: { grpc: "${backend.address}" } }
routes: [{ match: "${route}", backend: chat }]
`);
    const where = `ws://127.0.0.1:${own.port}`;
    const nope = route.replace(/\w+$/, 'Nope');
    const terminal = startTerminal([where, '--dialect', dialect, '--timeout', '2s']);
    terminal.type(`${route} {"n":1}\nrequest ${nope}\nquit\n`);
    expect(await terminal.exitCode).toBe(1);
    expect(terminal.stdout()).toMatch(`onChat {"text":"hi"}\n${route} → {"code":200}\n`);
    expect(terminal.screen()).toContain(refusal);
    expect((await backend.came(1))[0]!.body.toString()).toBe('{"n":1}');
  });
});

describe('pith client over TLS', () => {
  const authority = new Authority();

  test.each(['wss', 'tls'])('trusts %s by --ca or --insecure, else nobody', async (scheme) => {
    using secret = new SecretFolder(authority.issue('localhost'), authority.cert);
    await using own = await startTlsGateway('auto', secret);
    const where = `${scheme}://localhost:${own.port}`;
    for (const trust of [['--ca', secret.ca], ['--insecure']]) {
      const terminal = startTerminal([where, '--request', 'echo.a', ...trust]);
      expect(await terminal.exitCode).toBe(0);
      expect(terminal.stdout()).toBe('{"code":200}\n');
    }
    const terminal = startTerminal([where, '--request', 'echo.a']);
    expect(await terminal.exitCode).toBe(69);
    expect(terminal.stderr()).toMatch(
      /cannot connect to .*certificate.*: give the authority .* with --ca/,
    );
  });
});

describe('pith client with a pipe', () => {
  test('runs the lines one after another', async () => {
    const lines = [
      '# joins, and talks to itself',
      `chat.room.join ${JOIN}`,
      'notify chat.room.whisper {"to":"ann","text":"from a notify"}',
      '',
      'request chat.room.whisper {"to":"ann","text":"psst"}',
    ];
    const node = `"${process.execPath}" "${join(ROOT, 'src/main.ts')}"`;
    const { code, output } = await run(
      'sh',
      ['-c', `printf '%s\\n' "$LINES_IN" | ${node} client ${url} 2>/dev/null`],
      { env: { LINES_IN: lines.join('\n') } },
    );
    expect(output).toBe(
      'chat.room.join → {"code":200,"room":"lobby"}\n' +
        'onWhisper {"from":"ann","text":"from a notify"}\n' +
        'onWhisper {"from":"ann","text":"psst"}\n' +
        'chat.room.whisper → {"code":200}\n',
    );
    expect(code).toBe(0);
  });

  test('says which lines it does not understand, goes on, and ends with 1', async () => {
    const terminal = startTerminal([url]);
    terminal.type(`dance\nnotify\nchat.room.send {x\nchat.room.join ${JOIN}\nquit\nnever.sent\n`);
    expect(await terminal.exitCode).toBe(1);
    expect(terminal.stderr()).toContain('unknown command dance; try help\n');
    expect(terminal.stderr()).toContain('expected notify ROUTE JSON\n');
    expect(terminal.stderr()).toContain('{x is not JSON');
    expect(terminal.stdout()).toBe('chat.room.join → {"code":200,"room":"lobby"}\n');
  });

  test('prints a kick and the reason of the close, and ends with 69', async () => {
    await using own = await startGateway(
      `${CONFIG.replace('$CHAT', chat.address)}\ndrain: { signal: kick, budget: 2s }\n`,
    );
    const node = [join(ROOT, 'src/main.ts'), 'client', `ws://127.0.0.1:${own.port}`];
    await using client = await start(process.execPath, [...node, '--wait-pushes', '1m'], {
      ready: /connected/,
    });
    await own.gateway.drain();
    expect(await client.exited).toBe(69);
    expect(client.output()).toContain('kicked {"reason":"draining"}\n');
    expect(client.output()).toMatch(/disconnected: closed by the server, \d{4} draining\n/);
  });
});

describe('pith client for a person', () => {
  test('prints what comes above the line that is being typed', async () => {
    const terminal = startTerminal([url], true);
    await terminal.sees(/"help" lists the commands/);
    terminal.type('help\r');
    await terminal.sees(/notify ROUTE/);
    terminal.type('chat.room.join {"name":"eve","room":"hall"}\r');
    await terminal.sees(/chat.room.join → \{"code":200,"room":"hall"\}/);
    terminal.type('chat.room.wh');
    await using bob = await TestClient.connect(gateway.port);
    await bob.request('chat.room.whisper', { to: 'eve', text: 'psst' });
    await terminal.sees(/onWhisper \{"from":"","text":"psst"\}\r?\n> chat\.room\.wh$/);
    terminal.type('isper {"to":"eve","text":"me"}\r');
    await terminal.sees(/onWhisper \{"from":"eve","text":"me"\}/);
    terminal.type('no such command\r');
    terminal.type('quit\r');
    expect(await terminal.exitCode).toBe(0);
  });

  test('ends on Ctrl-D with 0', async () => {
    const terminal = startTerminal([url], true);
    await terminal.sees(/> $/);
    terminal.type('\u0004');
    expect(await terminal.exitCode).toBe(0);
  });
});

describe('a server that behaves badly', () => {
  test.each([
    ['refuses the handshake', ['{"code":501}'], 'the handshake was refused: {"code":501}'],
    ['says nothing', [], 'no handshake within 500 ms'],
    ['speaks something else', [Buffer.from('HTTP/1.1 400\r\n\r\n')], 'does not speak Pomelo'],
  ])('%s: 69', async (_, answers, why) => {
    await using server = await startServer(answers);
    const terminal = startTerminal([server.url, '--request', 'a.b', '--timeout', '500ms']);
    expect(await terminal.exitCode).toBe(69);
    expect(terminal.stderr()).toContain(why);
  });

  test('that never answers: 1, after --timeout', async () => {
    await using server = await startServer(['{"code":200,"sys":{}}']);
    const terminal = startTerminal([server.url, '--request', 'a.b', '--timeout', '500ms']);
    expect(await terminal.exitCode).toBe(1);
    expect(terminal.stderr()).toContain('a.b was not answered in 500 ms');
  });

  test('that falls silent: 69', async () => {
    await using server = await startServer(['{"code":200,"sys":{"heartbeat":1}}']);
    const terminal = startTerminal([server.url, '--request', 'a.b', '--timeout', '1m']);
    expect(await terminal.exitCode).toBe(69);
    expect(terminal.stderr()).toContain('nothing came from the server for 2100 ms');
  });
});

/** Answers the first bytes with the handshake of this text, or with these bytes, and then says nothing. */
async function startServer(
  answers: readonly (string | Buffer)[],
): Promise<AsyncDisposable & { url: string }> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      for (const answer of answers) {
        if (typeof answer !== 'string') {
          socket.write(answer);
          continue;
        }
        const packet = encodeJsonPacket(PacketType.HANDSHAKE, JSON.parse(answer))!;
        socket.write(packet.subarray(packetOffset(packet)));
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `tcp://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
