/** Messages that cannot be relayed: which are answered, and with what, and when there have been too many. */
import type { DialectTraits } from '../dialect/wire.ts';
import { type Failure, failure } from '../errors.ts';
import type { Message, MessageFault } from '../protocol/message.ts';
import type { MessageSink } from './session-parts.ts';
import type { Session } from './session.ts';

/** Undecodable messages that are dropped before the connection is closed for them. */
export const MALFORMED_MAX = 16;

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

function unreadable(fault: MessageFault | 'before_ack'): Failure {
  return UNREADABLE[fault] ?? failure('BAD_BODY');
}

/** Drops a message that comes before the client's ack. It is answered, or closes the connection, as the dialect has it. */
export function onEarly(
  session: Session,
  relay: MessageSink,
  body: Buffer,
  message: Message,
): void {
  const { earlyData, framing } = session.listenerDialect.traits;
  session.drop('before_ack');
  if (earlyData === 'close') session.close('bad_packet_type');
  else if (framing === 'text' && session.wire.decode(body, message) === null)
    relay.refuse(session, message, unreadable('before_ack'));
}

/** Drops a message that could not be decoded. It is answered where its id is known; the last of many closes. */
export function onUnreadable(
  session: Session,
  relay: MessageSink,
  fault: MessageFault,
  message: Message,
): void {
  session.drop(fault);
  session.malformed++;
  const { malformed, framing } = session.listenerDialect.traits;
  if (session.malformed >= MALFORMED_MAX || malformed === 'close') session.close('malformed');
  else if (mayAnswer(fault, framing) && message.wantsAnswer && !session.awaits(message.rawId))
    relay.refuse(session, message, unreadable(fault));
}

/** True where the id of such a message was read, so that it can be answered. */
function mayAnswer(fault: MessageFault, framing: DialectTraits['framing']): boolean {
  return framing === 'text' || fault === 'truncated' || fault === 'unknown_route_code';
}
