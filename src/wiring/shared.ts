/** What nearly every part of a gateway is made with. */
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { BackendTroubles } from '../failures/backend-troubles.ts';
import type { Failures } from '../failures/failures.ts';
import type { Log } from '../telemetry/log.ts';
import type { Random } from '../random.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Live } from '../reload/reload.ts';
import type { Kinds } from './kinds.ts';
import type { OwnWorker } from '../workers/own-worker.ts';
import type { Network } from './network.ts';

export type Shared = {
  /** As the gateway was started; of what a reload applies read `live.config`. */
  readonly config: Config;
  readonly live: Live;
  /** Of this process; no other has it. */
  readonly gatewayId: string;
  /** Of the program. */
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What has failed lately, for those who ask why. */
  readonly failures: Failures;
  readonly troubles: BackendTroubles;
  readonly network: Network;
  /** Has loaded what `config` needs. */
  readonly kinds: Kinds;
  /** The process is one of several that serve together; absent: it is the only one. */
  readonly worker?: OwnWorker | undefined;
  /** Another process is the gateway on the bus until this one takes over; absent: none is. */
  readonly successor?: object | undefined;
};
