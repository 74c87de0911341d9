/** The answers to messages that cannot be relayed. */
import type { DialectTraits } from '../dialect/wire.ts';
import { type Failure, failure } from '../errors.ts';
import type { MessageFault } from '../protocol/message.ts';

export const UNREADABLE: Readonly<Partial<Record<MessageFault | 'before_ack', Failure>>> = {
  truncated: failure('BAD_ROUTE', 'the message is truncated'),
  unknown_route_code: failure('BAD_ROUTE', 'unknown route code'),
  not_json: failure(
    'BAD_BODY',
    'expected a JSON object, as {"id":1,"route":"chat.room.join","body":{}}',
  ),
  bad_id: failure('BAD_BODY', 'id: expected a whole number from 1 to 9007199254740991'),
  bad_message: failure(
    'BAD_ROUTE',
    'expected a route and a body, as {"route":"chat.room.join","body":{}}',
  ),
  before_ack: failure('NOT_BOUND', 'send the handshake first: {"handshake":{"user":{}}}'),
};

export function unreadable(fault: MessageFault | 'before_ack'): Failure {
  return UNREADABLE[fault] ?? failure('BAD_BODY');
}

/** True where the id of such a message was read, so that it can be answered. */
export function mayAnswer(fault: MessageFault, framing: DialectTraits['framing']): boolean {
  return framing === 'text' || fault === 'truncated' || fault === 'unknown_route_code';
}
