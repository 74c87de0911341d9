/** What the parts of the bus over NATS have in common. */
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { TurnShare } from '../turn-share.ts';
import type { NatsConnector } from '../upstream/nats/nats-connector.ts';
import type { NatsReport } from '../upstream/nats/nats-report.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';

/** The connection, as far as the bus uses it. */
export type BusConnection = Pick<
  NatsConnector,
  | 'up'
  | 'hasRoom'
  | 'everUp'
  | 'canConfirm'
  | 'payloadBytesMax'
  | 'serverVersion'
  | 'always'
  | 'subscribe'
  | 'publish'
  | 'flush'
  | 'listen'
  | 'drain'
>;

export type BusParts = {
  readonly gatewayId: string;
  readonly connector: BusConnection;
  /** That of backends on NATS, where it is another one. */
  readonly requests?: Pick<BusConnection, 'everUp' | 'drain'> | undefined;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  readonly report: NatsReport;
  /** What a turn of the event loop may do of what comes from NATS. */
  readonly share: TurnShare;
};
