/** The server that a span names, by what is configured. [opentelemetry.io/docs/specs/semconv/rpc: server.address] */
import { expect, test } from 'vitest';

import { serverOf } from '../../../src/upstream/client-span.ts';

test.for<[url: string, address: string, port: number | null]>([
  ['chat:9000', 'chat', 9000],
  ['dns:///chat.prod.svc:9000', 'chat.prod.svc', 9000],
  ['dns:chat:9000', 'chat', 9000],
  ['dns://10.0.0.10:53/chat:9000', 'chat', 9000],
  ['dns:///[::1]:9000', '::1', 9000],
  ['[2001:db8::1]:9000', '2001:db8::1', 9000],
  ['ipv4:10.0.0.1:9000', '10.0.0.1', 9000],
  ['ipv4:10.0.0.1:9000,10.0.0.2:9000', '10.0.0.1:9000,10.0.0.2:9000', null],
  ['ipv6:[::1]:9000', '::1', 9000],
  ['unix:/run/chat.sock', '/run/chat.sock', null],
  ['unix:///run/chat.sock', '/run/chat.sock', null],
  ['consul:///chat', 'chat', null],
  ['consul:///chat?tag=blue', 'chat', null],
])('%s is %s', ([url, address, port]) => {
  expect(serverOf(url)).toEqual({
    'server.address': address,
    ...(port !== null && { 'server.port': port }),
  });
});
