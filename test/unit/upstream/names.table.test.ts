/** The methods and paths by which the gateway and its backends call each other. */
import { expect, test } from 'vitest';

import { GATEWAY, GATEWAY_SERVICE } from '../../../src/control/attach-grpc.ts';
import { ATTACH_PATH } from '../../../src/control/attach-websocket.ts';
import { API_PATH } from '../../../src/control/json-api.ts';
import * as channel from '../../../src/upstream/grpc/channel.ts';

test.each<readonly [string, string]>([
  ['/pith.v1.Backend/Link', channel.LINK],
  ['/pith.v1.Backend/Handle', channel.HANDLE],
  ['/pith.v1.Backend/Connect', channel.CONNECT],
  ['/pith.v1.Backend/Closed', channel.CLOSED],
  ['/grpc.health.v1.Health/Watch', channel.WATCH],
  ['pith.v1.Gateway', GATEWAY],
  ['/pith.v1.Gateway/Attach', GATEWAY_SERVICE['Attach']!.path],
  ['/v1/attach', ATTACH_PATH],
  ['/v1/', API_PATH],
])('%s', (literal, name) => {
  expect(name).toBe(literal);
});
