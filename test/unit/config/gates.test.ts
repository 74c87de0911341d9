/** What clients on each transport are told. */
import { expect, test } from 'vitest';

import { advertisedAddresses } from '../../../src/config/gates.ts';
import type { GateBackendConfig } from '../../../src/config/schema-backends.ts';
import { load } from './support.ts';

const TLS = 'tls: { cert: a, key: b }';

const addresses = (advertise: string): unknown => {
  const yaml = `listen: [{ url: "wss://0.0.0.0:1", ${TLS} }]\nbackends: { g: { gate: { advertise: { ${advertise} } } } }`;
  return advertisedAddresses(load(yaml).backends['g'] as GateBackendConfig);
};
const at = (host: string, port: number): object => ({ host, port });

test('TLS is where the plain transport is, unless it has an address of its own', () => {
  expect(addresses('ws: "a:1", tcp: "b:2"')).toEqual({
    ...{ ws: at('a', 1), wss: at('a', 1), tcp: at('b', 2), tls: at('b', 2) },
  });
  expect(addresses('ws: "a:1", wss: "a:443", tcp: "b:2", tls: "b:3"')).toEqual({
    ...{ ws: at('a', 1), wss: at('a', 443), tcp: at('b', 2), tls: at('b', 3) },
  });
});

test('a plain transport without an address has none, whatever TLS has', () => {
  expect(addresses('wss: "[2001:db8::1]:443"')).toEqual({ wss: at('2001:db8::1', 443) });
});
