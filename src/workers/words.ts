/** What the parent and its workers say to each other, over `channel.ts`. Members are added, and none is removed. */
import type { ConfigChoice } from '../cli/arguments.ts';
import type { Config } from '../config/schema.ts';
import type { LogLevel, ReloadOutcome, WorkerFacts } from '../control/gateway-methods.ts';
import type { Failure } from '../errors.ts';
import type { Pause } from '../orders/maintenance.ts';
import type { HandedOver } from '../takeover/hand-over.ts';
import type { ProfileKind } from '../telemetry/profiler.ts';
import type { RecentLine } from '../telemetry/recent-lines.ts';
import type { Sample } from '../telemetry/samples.ts';

/** The argument that makes a process a worker: `node src/main.ts worker`. */
export const WORKER = 'worker';

/** The parent's first word, by which a worker starts its gateway. */
export type Begin = {
  /** Its number, from 1 on; the one that takes its place when it has gone has the same. */
  readonly worker: number;
  /** How many there are. */
  readonly workers: number;
  /** The whole process's; a worker takes its share of it. */
  readonly config: Config;
  /** Of the parent's program. One of another version reads the configuration by itself: its keys may be others. */
  readonly version: string;
  /** Where the configuration is read. */
  readonly choice: ConfigChoice;
  /** It takes over from the worker that has this number now. */
  readonly isSuccessor: boolean;
};

/** What a worker tells of itself whenever it has changed, and as a sign of life. */
export type Status = {
  /** '' until its gateway is made. */
  readonly gateway: string;
  /** Of its program; '' until its gateway is made. */
  readonly version: string;
  readonly state: 'starting' | 'ready' | 'draining' | 'stopped';
  /** Why it should get no new clients; empty: it should. */
  readonly notReady: readonly string[];
  /** It could serve newcomers, who should go elsewhere for now. */
  readonly sendsElsewhere: boolean;
  readonly sessions: number;
  /** Connections of clients, those that are no sessions yet included. */
  readonly open: number;
  /** Connections of clients that the parent has handed to it since its start. */
  readonly received: number;
  /** Sessions that a drain closed because its budget was over; null: no drain has ended. */
  readonly forced: number | null;
  /** Where the process listens; null: not yet. */
  readonly facts: Facts | null;
};

/** Where everything listens, with the real ports. */
export type Facts = {
  readonly clients: readonly string[];
  readonly controlPort: number;
  readonly adminPort: number;
  /** URLs of the admin port's pages that are on. */
  readonly pages: readonly string[];
  readonly healthPort: number;
};

export const NOT_BEGUN: Status = {
  ...{ gateway: '', version: '', state: 'starting', notReady: ['starting'], sendsElsewhere: false },
  ...{ sessions: 0, open: 0, received: 0, forced: null, facts: null },
};

/** What the parent tells a worker of all the others together. */
export type Others = {
  /** Those that take newcomers. */
  readonly ready: number;
  readonly sendElsewhere: number;
  readonly sessions: number;
  readonly forced: number;
  /** Each reason once. */
  readonly notReady: readonly string[];
};

export const NO_OTHERS: Others = {
  ...{ ready: 0, sendElsewhere: 0, sessions: 0, forced: 0, notReady: [] },
};

/** The worker's end of a door: where the parent is to listen, and by what name its connections come. */
export type ListenAsk = {
  /** `health`, `admin`, `control`, `listen[0]`… */
  readonly door: string;
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly backlog: number;
};

/** Whether the connections at a door are those of clients. */
export function isOfClients(door: string): boolean {
  return door.startsWith('listen[');
}

/** null: on a Unix socket. A refusal has the operating system's text. */
export type Listening = {
  readonly address: { readonly address: string; readonly family: string; readonly port: number } | null; // prettier-ignore
};

/**
 * What a process tells another one of its kind, by the number of the worker, through the parent. During a takeover the
 * old process and its successor have the same number, by which each reaches the other.
 */
export type Pass = { readonly to: number; readonly name: string; readonly body: unknown };
export type Passed = { readonly from: number; readonly name: string; readonly body: unknown };

/** A configuration that was read again, or what is wrong with it. */
export type ReloadAsk = {
  /** For the log. */
  readonly why: string;
  readonly read: { readonly config: Config } | { readonly problems: readonly string[] };
  /** Back to what it had before the last one. */
  readonly isBack?: boolean;
};

/** The name of what the two processes of a takeover say, and its body when one of them is gone. */
export const TAKEOVER = 'takeover';
export const GONE = null;

/** What a worker is told and asked. */
export type ToWorker = {
  readonly tell: {
    begin: Begin;
    /** With a socket. */
    connection: { readonly door: string };
    others: Others;
    drain: DrainAsk;
    /** A second signal: the drain is to end now. */
    hurry: null;
    /** All workers have closed their sessions: let go of the rest, and end. */
    drained: null;
    /** There are too many connections from the address of the one that was counted under this number. */
    over: { readonly n: number };
    /** The parent's own, of which this worker tells operators. */
    lines: readonly RecentLine[];
    /** Maybe with a socket. */
    passed: Passed;
    /** After a takeover: its successor is the worker now, so it is to end. */
    leave: null;
  };
  readonly ask: {
    /** A worker has gone without a goodbye: it is lost, and this one is to say so. */
    lost: readonly [LostAsk, null];
    reload: readonly [ReloadAsk, ReloadOutcome];
    metrics: readonly [null, readonly Sample[]];
    level: readonly [LevelAsk, null];
    /** A successor has begun, which everything is to be handed over to. */
    handOver: readonly [null, HandedOver];
    pause: readonly [PauseAsk, null];
  } & BetweenWorkers;
};

/** What workers ask of each other, through the parent. */
export type BetweenWorkers = {
  call: readonly [CallAsk, Called];
  /** Whether one is being taken already, so this one is not. */
  beginProfile: readonly [ProfileAsk, { readonly isBusy: boolean }];
  /** JSON. */
  endProfile: readonly [null, string];
};

/** As Call. */
export type CallAsk = {
  readonly sid: string;
  readonly route: string;
  readonly wantsAnswer: boolean;
  readonly timeoutMs: number;
  /** Base64. */
  readonly body: string;
};

/** The backend's answer; or a failure, whose bytes are base64; or neither: no such session. */
export type Called = {
  readonly answer?: string;
  readonly failure?: Omit<Failure, 'body' | 'bytes'> & {
    readonly body: string | null;
    readonly bytes: string | null;
  };
};

/** As Profile, until `endProfile`. */
export type ProfileAsk = { readonly kind: ProfileKind };

/** To which worker, by its number or its gateway's id; what; and how long it may take. */
export type SiblingAsk = {
  readonly to: number | string;
  readonly ask: keyof BetweenWorkers;
  readonly body: unknown;
  readonly waitMs: number;
};

/** As SetMaintenance for one gateway. null: no more. */
export type PauseAsk = { readonly pause: Pause | null };

/** `sessions`: how many it had when it was last heard. */
export type LostAsk = { readonly gateway: string; readonly sessions: number };

/** As SetLogLevel. `level` null: that of the configuration again. `lastsMs` 0: until it is changed again. */
export type LevelAsk = { readonly level: LogLevel | null; readonly lastsMs: number };

export type DrainAsk = { readonly budgetMs?: number | undefined; readonly reason: string };

/** What the parent is told and asked. */
export type ToParent = {
  readonly tell: {
    status: Status;
    /** It takes no more connections at this door. */
    shut: { readonly door: string };
    /** A connection from an address, which holds until `left`. `max` is `limits.connections_per_address`. */
    entered: { readonly n: number; readonly block: string; readonly max: number };
    /** Many may go in one turn. */
    left: { readonly ns: readonly number[] };
    /** Maybe with a socket. */
    pass: Pass;
  };
  readonly ask: {
    /** This worker gets no connections until its takeover has ended. */
    hold: readonly [null, null];
    /** Listen at a door, once for all workers. */
    listen: readonly [ListenAsk, Listening];
    /** All workers are to drain. */
    drain: readonly [DrainAsk, null];
    /** All workers are to reload; all of them do, or none. */
    reload: readonly [{ readonly why: string }, ReloadOutcome];
    /** The metrics of all workers together, of which the body has those of the one that asks. */
    metrics: readonly [readonly Sample[], readonly Sample[]];
    /** All others are to log so. */
    level: readonly [LevelAsk, null];
    /** All others are to have this in maintenance. */
    pause: readonly [PauseAsk, null];
    /** What a worker asks another one. */
    sibling: readonly [SiblingAsk, unknown];
    /** All workers. */
    workers: readonly [null, readonly WorkerFacts[]];
  };
};
