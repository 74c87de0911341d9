/** What a client is told of a message that cannot be relayed. */
import { expect, test } from 'vitest';

import { UNREADABLE } from '../../../src/session/unreadable.ts';

test('what is wrong with a message: code, reason and text', () => {
  const rows = Object.entries(UNREADABLE).map(([fault, { code, reason, message }]) => {
    return [fault, code, reason, message];
  });
  // oxfmt-ignore
  expect(rows).toEqual([
    ['truncated',          400, 'BAD_ROUTE', 'the message is truncated'],
    ['unknown_route_code', 400, 'BAD_ROUTE', 'unknown route code'],
    ['not_json',           400, 'BAD_BODY',  'expected a JSON object, as {"id":1,"route":"chat.room.join","body":{}}'],
    ['bad_id',             400, 'BAD_BODY',  'id: expected a whole number from 1 to 9007199254740991'],
    ['bad_message',        400, 'BAD_ROUTE', 'expected a route and a body, as {"route":"chat.room.join","body":{}}'],
    ['before_ack',         401, 'NOT_BOUND', 'send the handshake first: {"handshake":{"user":{}}}'],
  ]);
});
