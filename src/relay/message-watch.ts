/** Whoever looks at the messages of sessions whose `watchers` is not 0: see `session/packet-watch.ts`. */
import type { Failure } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import type { Session } from '../session/session.ts';
import type { RelayCall } from './relay-call.ts';

export interface MessageWatch {
  /** It is on its way to a backend. */
  received(call: RelayCall): void;
  /** It reached no backend, and was answered with `why` if it is a request. @param backend '': none was chosen. */
  refused(session: Session, message: Message, why: Failure, backend: string): void;
  /** The gateway itself answers it. */
  own(session: Session, message: Message): void;
  /** The client is about to be sent the answer. */
  answered(call: RelayCall, body: Uint8Array): void;
  /** The same with an error. */
  failed(call: RelayCall, why: Failure): void;
  /** It is over: a notify was sent, or not; or nobody waits for the answer any more. @param outcome `ok`, or why not. */
  done(call: RelayCall, outcome: string): void;
}

/** Nobody looks at anything. */
export const NO_MESSAGE_WATCH: MessageWatch = {
  received() {},
  refused() {},
  own() {},
  answered() {},
  failed() {},
  done() {},
};
