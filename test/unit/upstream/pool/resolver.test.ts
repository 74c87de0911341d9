/** Which addresses a URL names. */
import { describe, expect, test } from 'vitest';

import { resolverOf } from '../../../../src/upstream/pool/resolver.ts';

describe('the addresses of a backend', () => {
  test.for<[url: string, authority: string, changes: boolean]>([
    ['dns:///chat:9000', 'chat:9000', true],
    ['dns:chat:9000', 'chat:9000', true],
    ['dns://10.0.0.10:53/chat:9000', 'chat:9000', true],
    ['chat:9000', 'chat:9000', true],
    ['[::1]:9000', '[::1]:9000', true],
    ['ipv4:10.0.0.1:9000', '', false],
    ['unix:///run/chat.sock', '', false],
  ])('%s: the name is "%s"', ([url, authority, changes]) => {
    expect(resolverOf(url)).toMatchObject({ authority, changes });
  });

  test.for<[url: string, addresses: string[]]>([
    ['ipv4:10.0.0.1:9000, 10.0.0.2:9000', ['ipv4:10.0.0.1:9000', 'ipv4:10.0.0.2:9000']],
    ['ipv6:[::1]:9000', ['ipv6:[::1]:9000']],
    ['unix:///run/chat.sock', ['unix:/run/chat.sock']],
    ['dns:///127.0.0.1:9000', ['ipv4:127.0.0.1:9000']],
    ['[::1]:9000', ['ipv6:[::1]:9000']],
  ])('%s', async ([url, addresses]) => {
    expect(await resolverOf(url).resolve()).toEqual(addresses);
  });
});
