/** The life of a session as a table: which packet means what in which state. Pure. */
import type { DialectTraits } from '../dialect/wire.ts';
import type { MessageFault } from '../protocol/message.ts';
import { PacketType } from '../protocol/packet.ts';

/**
 * opening: connected, no handshake yet · handshaking: accepted, the client's ack is awaited · active: messages
 * flow · draining: requests are refused, what is in flight is finished · closed.
 */
export type State = 'opening' | 'handshaking' | 'active' | 'draining' | 'closed';

/** What to do with a packet. `close`: the client broke the protocol. */
export type Action =
  | 'handshake'
  | 'activate'
  | 'heartbeat'
  | 'message'
  /** A message before its time. */
  | 'early'
  | 'ignore'
  | 'close';

/**
 * [protocol.md 3.4, the Pomelo server's table.] A superset of it in one place: an ack that comes in one segment
 * with the handshake counts, because our answer is sent at once.
 */
const ACTIONS: Readonly<Record<State, Readonly<Record<number, Action>>>> = {
  opening: {
    [PacketType.HANDSHAKE]: 'handshake',
    [PacketType.HANDSHAKE_ACK]: 'ignore',
    [PacketType.HEARTBEAT]: 'ignore',
    [PacketType.DATA]: 'early',
  },
  handshaking: {
    [PacketType.HANDSHAKE]: 'ignore',
    [PacketType.HANDSHAKE_ACK]: 'activate',
    [PacketType.HEARTBEAT]: 'ignore',
    [PacketType.DATA]: 'early',
  },
  active: working(),
  draining: working(),
  closed: {},
};

function working(): Readonly<Record<number, Action>> {
  return {
    [PacketType.HANDSHAKE]: 'ignore',
    [PacketType.HANDSHAKE_ACK]: 'ignore',
    [PacketType.HEARTBEAT]: 'heartbeat',
    [PacketType.DATA]: 'message',
  };
}

/** What a packet of `type` means now. What the table does not name closes. */
export function actionFor(state: State, type: number, traits: DialectTraits): Action {
  if (state === 'closed') return 'ignore';
  // A client that needs no handshake may send one anyway.
  if (type === PacketType.HANDSHAKE && state === 'active' && traits.activeAtOnce)
    return 'handshake';
  // [protocol.md 1.2] Pomelo closes for a kick from a client, Nano and Pitaya do not look at it.
  if (type === PacketType.KICK && traits.earlyData === 'close') return 'ignore';
  return ACTIONS[state][type] ?? 'close';
}

const NEXT: Readonly<Record<State, readonly State[]>> = {
  opening: ['handshaking', 'closed'],
  handshaking: ['active', 'closed'],
  active: ['draining', 'closed'],
  draining: ['closed'],
  closed: [],
};

/** True when a session may go from one state to the other. */
export function mayBecome(from: State, to: State): boolean {
  return NEXT[from].includes(to);
}

/** Why a message was dropped without an answer. */
export type Drop =
  | MessageFault
  | 'duplicate_id'
  | 'unexpected_kind'
  | 'before_ack'
  | 'bad_signature';
