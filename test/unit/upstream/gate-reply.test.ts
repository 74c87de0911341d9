/** What a client is answered that asks a gate. */
import { expect, test } from 'vitest';

import { type Failure } from '../../../src/errors.ts';
import type { TransportName } from '../../../src/transport/transport.ts';
import { GateReply } from '../../../src/upstream/gate-reply.ts';
import type { ConnectAsk } from '../../../src/upstream/upstream.ts';
import { BareCall } from '../../support/call.ts';

class AskingCall extends BareCall {
  text = '';
  failure: Failure | null = null;

  override succeed(body: Uint8Array = Buffer.alloc(0)): void {
    this.text = Buffer.from(body).toString();
  }

  override fail(why: Failure): void {
    this.failure = why;
  }
}

function ask(transport: TransportName, host: string | null): AskingCall {
  const asked: string[] = [];
  const gate = new GateReply({
    choose: (how) => {
      asked.push(how);
      return host === null ? null : { host, port: 3010 };
    },
    count: () => ({ known: 3, ready: 2 }),
  });
  const call = new AskingCall();
  Object.assign(call, { session: { connection: { transport } } });
  gate.send(call);
  expect(asked).toEqual([transport]);
  return call;
}

test.each(['ws', 'wss', 'tcp', 'tls'] as const)(
  '%s: what a gate of Pomelo answers',
  (transport) => {
    expect(ask(transport, 'game-1.example.com').text).toBe(
      '{"code":200,"host":"game-1.example.com","port":3010}',
    );
  },
);

test('an IPv6 address goes into a URL in brackets, and is dialled without', () => {
  expect(ask('ws', '2001:db8::1').text).toBe('{"code":200,"host":"[2001:db8::1]","port":3010}');
  expect(ask('wss', '2001:db8::1').text).toBe('{"code":200,"host":"[2001:db8::1]","port":3010}');
  expect(ask('tcp', '2001:db8::1').text).toBe('{"code":200,"host":"2001:db8::1","port":3010}');
});

test('503 where no gateway is ready, with the time to ask again', () => {
  expect(ask('ws', null).failure).toMatchObject({
    code: 503,
    reason: 'BACKEND_AWAY',
    message: 'no gateway is ready for new clients; try again',
    retryAfterMs: 1_000,
  });
});

test('it counts gateways, and cannot decide who may connect', async () => {
  const gate = new GateReply({ choose: () => null, count: () => ({ known: 3, ready: 2 }) });
  expect(gate.info()).toEqual({ kind: 'gate', addresses: 3, healthy: 2 });
  expect(await gate.connect({} as ConnectAsk)).toMatchObject({ code: 501, reason: 'UNSUPPORTED' });
});
