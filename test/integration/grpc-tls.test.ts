/** TLS towards gRPC backends, and names that a name server of the URL's resolves. */
import dgram from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { freePort } from '../support/process.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const authority = new Authority();

describe('TLS', () => {
  test('to a backend whose certificate bears the name of the URL, with files', async () => {
    using folder = new SecretFolder(authority.issue('backend'), authority.cert);
    await using pair = await Pair.start({
      tls: authority.issue('backend'),
      url: 'dns:///localhost:PORT',
      more: `, tls: { ca: ${folder.ca} }`,
    });
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toEqual({ n: 1, instance: 'test-1' });
  });

  test('to one that asks for a certificate, with PEM in the configuration', async () => {
    const { cert, key } = authority.issue('gateway');
    const quoted = (pem: string): string => JSON.stringify(pem);
    await using pair = await Pair.start({
      tls: { ...authority.issue('backend'), ca: authority.cert },
      more: `, tls: { ca: ${quoted(authority.cert)}, cert: ${quoted(cert)}, key: ${quoted(key)} }`,
    });
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toEqual({ n: 1, instance: 'test-1' });
  });

  test('a certificate of another authority is not believed, and the log says so', async () => {
    const other = JSON.stringify(new Authority('Another').cert);
    await using pair = await Pair.start({
      tls: authority.issue('backend'),
      more: `, tls: { ca: ${other} }`,
    });
    expect(await pair.logged('away')).toMatch(/certificate/);
    await using client = await pair.join();
    expect(await client.request('game.enter')).toMatchObject({ reason: 'BACKEND_AWAY' });
  });

  test.for([
    ['{ ca: /nowhere/ca.pem }', 'backends.game.tls.ca'],
    ['{ key: "-----BEGIN PRIVATE KEY-----\\nx\\n-----END PRIVATE KEY-----" }', 'backends.game.tls'],
  ])('what is no certificate stops the start: %s', async ([tls, where]) => {
    const start = startGateway(`backends: { game: { grpc: "127.0.0.1:1", tls: ${tls} } }`);
    await expect(start).rejects.toThrow(where);
  });
});

/** A name server that answers every question for an IPv4 address with `addresses`. [RFC 1035] */
class NameServer implements AsyncDisposable {
  addresses: string[] = [];
  readonly #socket = dgram.createSocket('udp4');

  static async start(addresses: string[]): Promise<NameServer> {
    const server = new NameServer();
    server.addresses = addresses;
    server.#socket.on('message', (query, from) => {
      server.#socket.send(server.#answer(query), from.port, from.address);
    });
    server.#socket.bind(0, '127.0.0.1');
    await once(server.#socket, 'listening');
    return server;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  #answer(query: Buffer): Buffer {
    // The question ends four bytes behind the zero that ends its name.
    const question = query.subarray(12, query.indexOf(0, 12) + 5);
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(this.addresses.length, 6);
    head.writeUInt16BE(0, 8);
    head.writeUInt16BE(0, 10);
    const records = this.addresses.map((address) =>
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
    );
    return Buffer.concat([head, question, ...records]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

describe('a name that changes its addresses', () => {
  test('is looked up again when one is lost, by the name server of the URL', async () => {
    const port = await freePort();
    await using one = await GrpcBackend.start({ instance: 'one', address: `127.0.0.1:${port}` });
    await using names = await NameServer.start(['127.0.0.1']);
    await using gateway = await startGateway(`
backends: { game: { grpc: "dns://127.0.0.1:${names.port}/game.test:${port}" } }
routes: [{ match: "game.>", backend: game }]
`);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('game.enter')).toEqual({ instance: 'one' });
    await using two = await GrpcBackend.start({ instance: 'two', address: `127.0.0.2:${port}` });
    names.addresses = ['127.0.0.2'];
    await one.kill();
    await two.wait(() => two.links[0], 'a link to the new address');
    await eventually(
      async () => (await client.request('game.enter'))['instance'] === 'two',
      'an answer of the new one',
    );
    expect(gateway.gateway.info().backends[0]).toMatchObject({ addresses: 1, healthy: 1 });
  });
});
