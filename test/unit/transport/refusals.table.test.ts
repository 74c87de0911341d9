/** Why a connection is turned away: the labels of pith_connections_refused_total. */
import { expect, test } from 'vitest';

import { REFUSALS } from '../../../src/transport/refused.ts';

// Each with a word of its advice.
const REASONS: readonly (readonly [reason: string, advice: string])[] = [
  ['accept_failed', 'too few file descriptors'],
  ['connection_limit', 'limits.connections'],
  ['address_limit', 'trusted_proxies'],
  ['tls_on_plain_port', 'set `tls`'],
  ['plain_on_tls_port', 'wss://'],
  ['tls_failed', 'TLS 1.2'],
  ['http_on_tcp_port', 'a TCP port'],
  ['tcp_on_ws_port', 'a WebSocket port'],
  ['bad_http', 'not a valid HTTP request'],
  ['http_head_too_large', '16 KiB'],
  ['bad_upgrade', 'RFC 6455'],
  ['not_grpc', 'gRPC'],
  ['port_full', 'as it may'],
  ['crowded_out', 'made room'],
  ['wrong_path', '`path`'],
  ['wrong_origin', '`origins`'],
  ['untrusted_proxy', '`trusted_proxies`'],
  ['no_proxy_header', 'send-proxy-v2'],
  ['bad_proxy_header', '`detail`'],
  ['slow_proxy_header', 'limits.handshake'],
  ['unexpected_proxy_header', 'set proxy_protocol'],
  ['forwarded_conflict', 'remove the other'],
  ['blocked', 'ListBlocks'],
  ['silent', 'nothing was sent'],
  ['workers_full', 'run more gateways'],
  ['no_worker', 'the log says why'],
  ['waited_too_long', 'limits.accepts_per_second'],
  ['slow_handshake', 'slow client'],
];

test('the reasons are these and no others', () => {
  expect(Object.keys(REFUSALS)).toEqual(REASONS.map(([reason]) => reason));
});

test.each(REASONS)('%s: … %s …', (reason, advice) => {
  expect(REFUSALS[reason as keyof typeof REFUSALS]).toContain(advice);
});
