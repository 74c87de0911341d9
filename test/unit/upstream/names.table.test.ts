/** The methods and paths by which the gateway and its backends call each other. */
import { expect, test } from 'vitest';

import { GATEWAY, GATEWAY_SERVICE } from '../../../src/control/attach-grpc.ts';
import { API_PATH, ATTACH_PATH } from '../../../src/control/paths.ts';
import { WATCH } from '../../../src/upstream/grpc-client/health-watch.ts';
import { LINK } from '../../../src/upstream/grpc/dialled-link.ts';
import { CLOSED, CONNECT, HANDLE } from '../../../src/upstream/grpc/unary-calls.ts';

test.each<readonly [string, string]>([
  ['/pith.v1.Backend/Link', LINK],
  ['/pith.v1.Backend/Handle', HANDLE],
  ['/pith.v1.Backend/Connect', CONNECT],
  ['/pith.v1.Backend/Closed', CLOSED],
  ['/grpc.health.v1.Health/Watch', WATCH],
  ['pith.v1.Gateway', GATEWAY],
  ['/pith.v1.Gateway/Attach', GATEWAY_SERVICE['Attach']!.path],
  ['/v1/attach', ATTACH_PATH],
  ['/v1/', API_PATH],
])('%s', (literal, name) => {
  expect(name).toBe(literal);
});
