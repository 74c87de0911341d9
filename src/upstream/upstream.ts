/** What the relay needs from a backend, whatever its transport. */
import type { Accepted } from '../contract/commands.ts';
import type { ConnectFacts, LostGateway } from '../contract/facts.ts';
import type { Failure } from '../errors.ts';
import type { Lane } from '../session/lane.ts';
import type { Session } from '../session/session.ts';
import type { Call } from './call.ts';
import type { ClientSpan } from './client-span.ts';

/** A handshake that waits for a backend's word. */
export type ConnectAsk = ConnectFacts & {
  /** Whose handshake it is. What `session` says may be of the session that it goes on from. */
  readonly client: Session;
  /** The session's lane at this backend: it goes to where the session's messages will go. */
  readonly lane: Lane;
  /** On the monotonic clock, milliseconds. */
  readonly deadline: number;
  /** Aborted when the answer is no longer needed, because the client has left. */
  readonly signal?: AbortSignal;
};

/** One address of a backend, for operators. */
export type AddressStatus = {
  readonly address: string;
  /** As the log says it. */
  readonly state: string;
  /** Why, in plain words; '': nothing to say. */
  readonly why: string;
  /** The name that the backend gave; '': none. */
  readonly instance: string;
  readonly inFlight: number;
  /** Sessions that keep to it. */
  readonly sessions: number;
  readonly isHealthy: boolean;
  /** Messages that it lets us send; absent, or Infinity: any number. */
  readonly credit?: number | undefined;
};

export type UpstreamInfo = {
  readonly kind: 'grpc' | 'nats' | 'http' | 'ipc' | 'reply' | 'gate' | 'dial_in';
  readonly addresses: number;
  readonly healthy: number;
  /** Each address; absent: it has none. */
  readonly each?: () => readonly AddressStatus[];
};

export interface Upstream {
  /** True when one message of a session must be done before the next starts, to keep their order. */
  readonly oneAtATime: boolean;
  /** Resolves when it is as ready as it can be now; never rejects. The gateway listens after that. */
  start(): Promise<void>;
  /**
   * Sends `call`, and ends it exactly once: `answer`, `succeed`, `fail`, or `sent` for a notify that needs no
   * more. May end it before returning; until it does, `call.pending` says who cancels it. Never throws.
   */
  send(call: Call): void;
  /**
   * Asks the backend whether a client may come in; a failure is a refusal, or the reason why there is no answer.
   * Never rejects.
   */
  connect(ask: ConnectAsk): Promise<Accepted | Failure>;
  /** For the log: by what the call goes to its backend, as a subject, a method or a path. */
  whereTo?(call: Call): Readonly<Record<string, string>>;
  /** For a traced call, while it is being sent. */
  clientSpan(call: Call): ClientSpan;
  /**
   * The session of this lane goes on from another process, where the backend has had messages of it at these `places`, at
   * least one. Absent: nothing is kept of sessions.
   */
  knownAt?(lane: Lane, places: readonly string[]): void;
  /**
   * Another gateway is gone, with all its sessions. Absent: the backend hears it elsewhere, or does not care.
   *
   * @param isSpeaker This gateway tells the backends that all gateways reach.
   */
  gatewayLost?(lost: LostGateway, isSpeaker: boolean): void;
  info(): UpstreamInfo;
  /** Ends in an orderly way, within `ms`. */
  close(ms: number): Promise<void>;
}

/** What a backend tells that has one address. `inFlight`: absent where others count it. */
export function oneAddress(
  one: Pick<AddressStatus, 'address' | 'state' | 'why' | 'isHealthy'> & { inFlight?: number },
): Omit<UpstreamInfo, 'kind'> {
  const status = { instance: '', sessions: 0, inFlight: 0, ...one };
  return { addresses: 1, healthy: one.isHealthy ? 1 : 0, each: () => [status] };
}
