/** Where a script about NATS is played: on real servers, or on their doubles in virtual time. */
import type { NatsConnection } from '../../src/upstream/nats/nats-connection.ts';
import type { NatsUser } from './nats-permissions.ts';

/** What a script needs of its servers. Everything else is as nats-server has it by default. */
export type StageOptions = {
  /** How many, called n1, n2 …; more than one are a cluster. */
  readonly servers: number;
  readonly payloadBytesMax?: number;
  readonly pendingBytesMax?: number;
  readonly writeMs?: number;
  readonly pingMs?: number;
  readonly pingsOutMax?: number;
  readonly lameDuckGraceMs?: number;
  readonly users?: readonly NatsUser[];
};

/** SIGKILL, SIGTERM, SIGSTOP, SIGCONT, SIGUSR2, and the start after it has ended. */
export type Deed = 'kill' | 'stop' | 'pause' | 'resume' | 'lame duck' | 'start';

export type Dialled = {
  readonly user: string;
  readonly password: string;
  /** Not over a cable, which would take any connection. */
  readonly isDirect?: boolean;
};

export interface Stage extends AsyncDisposable {
  readonly servers: readonly string[];
  /** Where servers can be reached, as they announce it themselves. */
  addressOf(server: string): string;
  dial(name: string, servers: readonly string[], as: Dialled): Promise<NatsConnection>;
  /** Resolves when it is done. */
  act(server: string, deed: Deed): Promise<void>;
  /**
   * What is between two servers, or a client and its server: nothing passes until it is released.
   * @param ends Two servers, or a client alone.
   */
  hold(...ends: readonly string[]): void;
  release(...ends: readonly string[]): void;
  /** Ends the connections there. */
  cut(...ends: readonly string[]): void;
  /** The client's system takes nothing more from its server. */
  stopReading(client: string): void;
  readAgain(client: string): void;
  /** Waits, however long that takes. */
  wait<T>(promise: Promise<T>, what: string): Promise<T>;
  until(isTrue: () => boolean, what: string): Promise<void>;
}
