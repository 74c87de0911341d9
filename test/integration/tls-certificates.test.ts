/** Certificates of clients, and a new one of our own without a restart. */
import type { TLSSocket } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { HANDSHAKE, RawSocket, UPGRADE } from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { Authority, connectTls, SecretFolder, TlsPipe } from '../support/tls.ts';
import { startTlsGateway } from '../support/tls-gateway.ts';
import { eventually } from '../support/wait.ts';

const authority = new Authority();
const stranger = new Authority('Nobody knows it');
const server = authority.issue('server');
const secret = new SecretFolder(server, authority.cert);
const TRUSTING = { ca: authority.cert };

afterAll(() => {
  secret[Symbol.dispose]();
});

/** Whether a handshake of Pomelo is answered; the connection is ended then. */
function isServed(socket: TLSSocket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.on('data', () => {
      resolve(true);
      socket.end();
    });
    socket.on('close', () => {
      resolve(false);
    });
    socket.write(HANDSHAKE);
  });
}

/** What the server shows; its own name. */
function subjectOf(socket: TLSSocket): string {
  return String(socket.getPeerCertificate().subject.CN);
}

describe("clients' certificates", () => {
  const ours = authority.issue('client');
  const theirs = stranger.issue('client');
  const more = `, ca: ${secret.ca}, require_client_cert: true`;

  test.each(['ws', 'tcp'] as const)('a %s client that has one is served', async (transport) => {
    await using gateway = await startTlsGateway('auto', secret, { more });
    await using pipe = await TlsPipe.open(gateway.port, { ...TRUSTING, ...ours });
    await using client = await TestClient.connect(pipe.port, transport);
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test.each([
    { what: 'none', pair: {}, detail: 'peer did not return a certificate' },
    { what: "somebody else's", pair: theirs, detail: 'the connection ended' },
  ])('a client with $what is not', async ({ pair, detail }) => {
    for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
      await using gateway = await startTlsGateway('wss', secret, { more });
      await using pipe = await TlsPipe.open(gateway.port, {
        ...TRUSTING,
        ...pair,
        minVersion: version,
        maxVersion: version,
      });
      await using raw = await RawSocket.connect(pipe.port);
      raw.send(UPGRADE);
      await raw.ended;
      expect(raw.received).toBe('');
      await expectRefusedAs(gateway, 'tls_failed', { detail });
    }
  });

  test('a plain client on auto is not', async () => {
    await using gateway = await startTlsGateway('auto', secret, { more });
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(HANDSHAKE);
    await raw.ended;
    await expectRefusedAs(gateway, 'plain_on_tls_port');
  });

  test('a client may resume what it has begun, and nobody by what was refused', async () => {
    await using gateway = await startTlsGateway('tls', secret, { more });
    const resume = async (pair: object): Promise<boolean> => {
      let session: Buffer | undefined;
      const first = await connectTls(gateway.port, { ...TRUSTING, ...pair });
      first.on('session', (ticket) => (session = ticket));
      const isFirstServed = await isServed(first);
      if (session === undefined) return false;
      const second = await connectTls(gateway.port, { ...TRUSTING, session });
      expect(await isServed(second)).toBe(isFirstServed);
      return isFirstServed && second.isSessionReused();
    };
    expect(await resume(ours)).toBe(true);
    expect(await resume(theirs)).toBe(false);
    expect(await resume({})).toBe(false);
  });
});

describe('a new certificate', () => {
  test('is served to those who come, and those who are here stay', async () => {
    using folder = new SecretFolder(server);
    await using gateway = await startTlsGateway('auto', folder);
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    await using old = await TestClient.connect(pipe.port, 'ws');
    await using before = await TestClient.connect(pipe.port, 'tcp');
    const shown = async (): Promise<string> => {
      const socket = await connectTls(gateway.port, TRUSTING);
      const subject = subjectOf(socket);
      socket.destroy();
      return subject;
    };
    expect(await shown()).toBe('server');

    folder.replace({ cert: authority.issue('bad').cert, key: server.key });
    const warned = await eventually(
      () => gateway.log.find(({ level }) => level === 'warn'),
      'the warning',
    );
    expect(warned).toMatchObject({ msg: 'new certificate rejected; still serving the old one' });
    expect(warned['fault']).toContain(`listen[0].tls.key: ${folder.key} does not belong`);
    expect(await shown()).toBe('server');

    folder.replace(authority.issue('renewed'));
    await eventually(async () => (await shown()) === 'renewed', 'the new certificate');
    for (const client of [old, before])
      expect(await client.request('echo.a')).toEqual({ code: 200 });
    await using after = await TestClient.connect(pipe.port, 'ws');
    expect(await after.request('echo.a')).toEqual({ code: 200 });
    expect(gateway.log).toContainEqual(
      expect.objectContaining({ key: 'listen[0].tls', msg: 'certificate reloaded' }),
    );
  });

  test('that is bad at the start keeps the gateway from starting, with key and file', async () => {
    using folder = new SecretFolder({ cert: server.cert, key: authority.issue('other').key });
    await expect(startTlsGateway('wss', folder)).rejects.toThrow(
      `listen[0].tls.key: ${folder.key} does not belong to the first certificate in ${folder.cert}`,
    );
    await expect(
      startTlsGateway('wss', { cert: '/nowhere/tls.crt', key: folder.key }),
    ).rejects.toThrow('listen[0].tls.cert: /nowhere/tls.crt cannot be read: no such file');
  });
});
