/** What a way to a backend is given, and what it tells. */
import type { Clock } from '../../clock.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { Dial } from '../grpc-client/connection.ts';
import type { HealthMode } from '../grpc-client/health-watch.ts';
import type { LinkEvents } from '../link/link.ts';
import type { Endpoint } from './endpoint.ts';

/** connecting · link, handle: it serves, in this way · away: waits for the next try · stopped. */
export type EndpointState = 'connecting' | 'link' | 'handle' | 'away' | 'stopped';

export type EndpointOptions = Dial & {
  readonly metadata: Readonly<Record<string, string>>;
  /** From 0, among the ways to the same address. */
  readonly index: number;
  /** Its share of the sessions, relative to the others'. */
  readonly weight: number;
  readonly mode: 'link' | 'handle';
  readonly health: HealthMode;
  /** Milliseconds after which a link is to be replaced; 0: never. */
  readonly linkAgeMs: number;
  /** Milliseconds of silence after which a connection on which something is awaited is given up; 0: never. */
  readonly deadAfterMs: number;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

/** What a way tells: of its links' frames, and of its own coming and going. */
export interface EndpointEvents extends Omit<
  LinkEvents,
  'onHello' | 'onGoaway' | 'onEnd' | 'onFault' | 'onAnswered'
> {
  /** Something is otherwise: `state`, or whether it takes new sessions. */
  onState(way: Endpoint, why: string): void;
  /** Too many calls have failed in a row; `eject` it if another can take its sessions. */
  onFaulty(way: Endpoint): void;
  /** The link is as old as it may be. */
  onOld(way: Endpoint): void;
}
