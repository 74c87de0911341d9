/** A backend in Go, with nothing but Go's own gRPC, protobuf and NATS libraries, says who comes in. */
import { beforeAll, describe, expect, test } from 'vitest';

import type { JsonObject } from '../../src/contract/commands.ts';
import { startGateway } from '../support/gateway.ts';
import { shake } from '../support/handshake.ts';
import { buildLogin, startLogin } from '../support/login-go.ts';
import { startNats } from '../support/nats.ts';

let program: string;

beforeAll(async () => {
  program = await buildLogin();
});

/** As deep as the gateway lets a handshake be. */
function nested(depth: number): JsonObject {
  return depth === 0 ? { leaf: true } : { o: nested(depth - 1) };
}

const USER = {
  name: 'zoë 😀',
  numbers: [0, -1.5, 1e300, 2 ** 53],
  nothing: null,
  yes: true,
  empty: [{}, [], ''],
  deep: nested(29),
};

describe.each(['link', 'call', 'nats'])('by %s', (way) => {
  test('reads all of the question, and lets in or turns away', async () => {
    await using nats = way === 'nats' ? await startNats() : null;
    await using login = await startLogin(program, {
      ...(nats !== null && { NATS_URL: nats.url }),
      ...(way === 'call' && { LINK: 'off' }),
    });
    await using gateway = await startGateway(`
${nats === null ? '' : `bus: ${nats.url}`}
auth: { mode: connect, backend: login }
backends: { login: { ${nats === null ? `grpc: "ipv4:${login.address}"` : 'nats: {}'} } }
`);
    const ann = await shake(gateway.port, USER, 'ws');
    expect(ann.answer['code']).toBe(200);
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    // What Go's protobuf leaves out is what is not set: uid, data, resumed.
    expect(ann.answer['user']).toMatchObject({
      user: USER,
      sys: { type: 'test', version: '1.2', rsa: {} },
      session: {
        sid,
        gateway: gateway.gateway.id,
        remote_ip: '127.0.0.1',
        client_type: 'test',
        client_version: '1.2',
        transport: 'ws',
        dialect: 'pomelo',
        opened_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      },
    });
    const [session] = gateway.gateway.registry.all();
    expect([session!.uid, [...session!.groups]]).toEqual([USER.name, ['lobby']]);
    const eve = await shake(gateway.port, { name: 'eve' });
    expect(eve.answer).toMatchObject({ code: 500 });
    await eve.client.ended;
    const refusals = gateway.log.filter(({ msg }) => msg === 'handshake rejected');
    expect(refusals).toMatchObject([{ reason: 'BANNED', why: 'until Monday' }]);
    ann.client.close();
  });
});
