/** How the gateway shows a real nats-server who it is, and makes sure which server it is. */
import { createUser } from '@nats-io/nkeys';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { NatsOperator } from '../support/nats-jwt.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { freePort } from '../support/process.ts';
import { Authority, type Pair } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const dir = mkdtempSync(join(tmpdir(), 'pith-nats-access-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

let files = 0;
function file(text: string): string {
  const path = join(dir, `${++files}.pem`);
  writeFileSync(path, text);
  return path;
}

function gatewayAt(bus: string, nats: string): Promise<TestGateway> {
  return startGateway(`backends: {}\nroutes: []\nbus: ${bus}\nnats: ${nats}`);
}

async function expectConnected(gateway: TestGateway): Promise<void> {
  await eventually(() => gateway.gateway.notReady().length === 0, 'the bus', 20_000);
  expect(gateway.count('pith_bus_connects_total', 'connected')).toBeGreaterThan(0);
}

/** What the log says about why it does not connect. */
async function whyNot(gateway: TestGateway): Promise<string> {
  const line = await eventually(
    () =>
      gateway.log.find(
        ({ msg, why }) => msg.startsWith('bus unreachable') && why !== 'no answer yet',
      ),
    'a reason',
    20_000,
  );
  expect(gateway.count('pith_bus_connects_total', 'connected')).toBe(0);
  return String(line['why']);
}

describe('who the gateway is', () => {
  test.each<[string, string, (wrong: boolean) => string]>([
    [
      'user and password',
      'authorization { user: pith, password: "hunter2" }',
      (wrong) => `{ user: pith, password: ${wrong ? 'hunter3' : 'hunter2'} }`,
    ],
    [
      'a token',
      'authorization { token: "hunter2" }',
      (wrong) => `{ token: ${wrong ? 'hunter3' : 'hunter2'} }`,
    ],
  ])('is shown by %s', async (_, config, keys) => {
    await using nats = await startNats(config);
    await using gateway = await gatewayAt(nats.url, keys(false));
    await expectConnected(gateway);
    await using other = await gatewayAt(nats.url, keys(true));
    expect(await whyNot(other)).toMatch(/[Aa]uthorization [Vv]iolation/);
    expect(JSON.stringify(other.log)).not.toContain('hunter');
  });

  test('is shown by an NKey', async () => {
    const user = createUser();
    const seed = new TextDecoder().decode(user.getSeed());
    await using nats = await startNats(
      `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`,
    );
    await using gateway = await gatewayAt(nats.url, `{ nkey: ${seed} }`);
    await expectConnected(gateway);
    const stranger = new TextDecoder().decode(createUser().getSeed());
    await using other = await gatewayAt(nats.url, `{ nkey: ${stranger} }`);
    expect(await whyNot(other)).toMatch(/[Aa]uthorization [Vv]iolation/);
  });

  test('is shown by credentials, a JWT and its seed, read again for each connection', async () => {
    const operator = new NatsOperator();
    await using nats = await startNats(operator.config);
    const path = file(new NatsOperator().creds('stranger'));
    await using gateway = await gatewayAt(nats.url, `{ creds: ${path} }`);
    expect(await whyNot(gateway)).toMatch(/[Aa]uthorization [Vv]iolation/);
    writeFileSync(path, operator.creds('pith'));
    await expectConnected(gateway);
  });
});

describe('which server it is', () => {
  const authority = new Authority('NATS');
  const ca = file(authority.cert);
  const here = authority.issue('server');

  function tlsLines({ cert, key }: Pair, more = ''): string {
    return `tls { cert_file: "${file(cert)}", key_file: "${file(key)}"${more} }`;
  }
  const tlsUrl = ({ port }: TestNats, host = '127.0.0.1'): string => `tls://${host}:${port}`;

  test('tls:// and the authority that signed its certificate', async () => {
    await using nats = await startNats(tlsLines(here));
    await using gateway = await gatewayAt(tlsUrl(nats), `{ tls: { ca: ${ca} } }`);
    await expectConnected(gateway);
    // The server wants TLS, and says so before anything else.
    await using plain = await gatewayAt(nats.url, `{ tls: { ca: ${ca} } }`);
    await expectConnected(plain);
  });

  test.each<[string, (nats: TestNats) => [bus: string, keys: string], RegExp]>([
    [
      'of another authority is refused',
      (nats) => [tlsUrl(nats), `{ tls: { ca: ${file(new Authority('Other').cert)} } }`],
      /^the server's certificate is not trusted \(.*\): set nats\.tls\.ca to the authority that signed it$/,
    ],
    [
      'is checked against the system without a ca',
      (nats) => [tlsUrl(nats), '{}'],
      /^the server's certificate is not trusted .*set nats\.tls\.ca/,
    ],
    [
      'is checked with nats:// too, if the server speaks TLS',
      (nats) => [nats.url, '{}'],
      /^the server's certificate is not trusted .*set nats\.tls\.ca/,
    ],
  ])('a certificate that is %s', async (_, how, why) => {
    await using nats = await startNats(tlsLines(here));
    await using gateway = await gatewayAt(...how(nats));
    expect(await whyNot(gateway)).toMatch(why);
  });

  test('a certificate for another name is refused, by name and by address', async () => {
    await using nats = await startNats(tlsLines(authority.issueFor('nats.example')));
    for (const host of ['127.0.0.1', 'localhost']) {
      await using gateway = await gatewayAt(tlsUrl(nats, host), `{ tls: { ca: ${ca} } }`);
      expect(await whyNot(gateway)).toMatch(
        /^the server's certificate is for other names than the one in bus: .*(nats\.example|127\.0\.0\.1 is not)/,
      );
    }
  });

  test('a certificate for localhost is not one for 127.0.0.1', async () => {
    await using nats = await startNats(tlsLines(authority.issueFor('localhost')));
    await using byName = await gatewayAt(tlsUrl(nats, 'localhost'), `{ tls: { ca: ${ca} } }`);
    await expectConnected(byName);
    await using byAddress = await gatewayAt(tlsUrl(nats), `{ tls: { ca: ${ca} } }`);
    expect(await whyNot(byAddress)).toMatch(/other names.*127\.0\.0\.1/);
  });

  test('a server without TLS gets no password', async () => {
    await using nats = await startNats('authorization { user: pith, password: "hunter2" }');
    await using gateway = await gatewayAt(tlsUrl(nats), `{ user: pith, password: hunter2 }`);
    expect(await whyNot(gateway)).toBe(
      'the server offers no TLS, which tls:// and nats.tls ask for: turn it on there, or use nats:// without nats.tls',
    );
  });

  test('a server that wants a certificate of ours gets it, and says so if there is none', async () => {
    const own = authority.issue('pith');
    const keys = `cert: ${file(own.cert)}, key: ${file(own.key)}`;
    await using nats = await startNats(tlsLines(here, `, ca_file: "${ca}", verify: true`));
    await using gateway = await gatewayAt(tlsUrl(nats), `{ tls: { ca: ${ca}, ${keys} } }`);
    await expectConnected(gateway);
    await using without = await gatewayAt(tlsUrl(nats), `{ tls: { ca: ${ca} } }`);
    expect(await whyNot(without)).toBe(
      'the server wants a certificate of ours: set nats.tls.cert and nats.tls.key to one that its ca has signed',
    );
  });

  test('a server that speaks TLS from the first byte', async () => {
    await using nats = await startNats(tlsLines(here, ', handshake_first: true'));
    await using gateway = await gatewayAt(
      tlsUrl(nats),
      `{ tls: { ca: ${ca}, handshake_first: true } }`,
    );
    await expectConnected(gateway);
  });

  test('another server of the cluster, which is known by its address alone, may show the name in bus', async () => {
    const ports = [await freePort(), await freePort()];
    const cluster = (own: number, other: number): string =>
      `${tlsLines(authority.issueFor('localhost'))}\ncluster { name: c, listen: "127.0.0.1:${own}", routes: ["nats://127.0.0.1:${other}"] }`;
    await using first = await startNats(cluster(ports[0]!, ports[1]!));
    await using second = await startNats(cluster(ports[1]!, ports[0]!));
    await using gateway = await gatewayAt(tlsUrl(first, 'localhost'), `{ tls: { ca: ${ca} } }`);
    await expectConnected(gateway);
    await first.kill();
    const line = await eventually(
      () => gateway.log.find(({ msg }) => msg === 'bus reconnected'),
      'the other server',
    );
    expect(line['server']).toBe(`127.0.0.1:${second.port}`);
  });

  test('files that were renewed count from the next connection on', async () => {
    const path = file(new Authority('Old').cert);
    await using nats = await startNats(tlsLines(here));
    await using gateway = await gatewayAt(tlsUrl(nats), `{ tls: { ca: ${path} } }`);
    expect(await whyNot(gateway)).toContain('not trusted');
    writeFileSync(path, authority.cert);
    await expectConnected(gateway);
  });
});
