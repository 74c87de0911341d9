/** JetStream on an exchange, for tests of kept pushes. */
import type { ManualClock } from '../../support/clock.ts';
import { KeepStreamDouble } from '../../support/keep-stream.ts';
import { type Exchange, TestConnection } from './support.ts';

/** While it is away, nobody answers. */
export function makeStream(exchange: Exchange, clock: ManualClock) {
  const stream = new KeepStreamDouble();
  const connection = new TestConnection(exchange);
  const server = { stream, connection, isSilent: false, stores: true };
  connection.always('pith.keep.user.*', (_, { subject, reply, data, _rdata }) => {
    if (!server.stores) return;
    const head = Buffer.from(_rdata);
    const sentOn = stream.store({ subject, head, payload: Buffer.from(data) }, clock.wallNow());
    exchange.publish(sentOn.subject, sentOn.payload, '', sentOn.head, connection);
    if (reply) exchange.publish(reply, `{"stream":"PITH_KEEP","seq":${stream.last}}`);
  });
  connection.always('$JS.API.>', (_, { subject, reply, data }) => {
    if (server.isSilent) return;
    const answers = stream.answer(subject, Buffer.from(data).toString());
    if (answers === null)
      exchange.publish(reply!, '', '', Buffer.from('NATS/1.0 503\r\n\r\n'), connection);
    for (const { head, payload } of answers ?? [])
      exchange.publish(reply!, payload, '', head, connection);
  });
  return server;
}

export function lines(...headers: string[]): Buffer {
  return Buffer.from(`NATS/1.0\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`);
}
