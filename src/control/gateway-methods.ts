/** The methods of `pith.v1.Control` that act on the called gateway alone. */
import type { Json } from '../contract/commands.ts';
import { type Failure, GatewayError } from '../errors.ts';
import {
  configMessage,
  drainMessage,
  explainedMessage,
  infoMessage,
  reloadMessage,
  replyMessage,
} from './answers.ts';
import type { Pause } from '../orders/maintenance.ts';
import type { ProfileKind } from '../telemetry/profiler.ts';
import type { MakeMethods, Methods } from './method.ts';
import { type PlaygroundFacts, playgroundMessage } from './playground-message.ts';

/** The longest time that Call waits for its answer. */
export const CALL_MS_MAX = 300_000;
/** The longest time after which a level ends by itself. */
const LOG_LEVEL_MS_MAX = 86_400_000;
/** The longest time that a drain may take, as of `drain.budget`. */
const DRAIN_MS_MAX = 86_400_000;
const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The answer of GetInfo. */
export type Info = {
  readonly gateway: string;
  readonly version: string;
  readonly state: string;
  readonly sessions: number;
  readonly bus: string;
  readonly backends: readonly {
    readonly name: string;
    readonly kind: string;
    readonly addresses: number;
    readonly healthy: number;
    readonly inFlight: number;
  }[];
  readonly uptimeMs: number;
  /** Something is in maintenance. */
  readonly maintenance: boolean;
  readonly logLevel: string;
  /** When it ends, in milliseconds since the epoch; 0: not by itself. */
  readonly logLevelUntilWall: number;
};

/** One of several workers that serve together, as their parent sees it. */
export type WorkerFacts = {
  /** From 1 on. */
  readonly worker: number;
  /** '': it is not that far. */
  readonly gateway: string;
  /** starting, ready, draining, stopped; silent: it may hang. */
  readonly state: string;
  readonly sessions: number;
  readonly pid: number;
};

/** What Reload answers. */
export type ReloadOutcome = {
  /** Keys whose values are not as they were, `routes[2].timeout`, sorted. */
  readonly changed: readonly string[];
  /** Those of them that only a restart applies: where there is one, nothing was applied. */
  readonly needsRestart: readonly string[];
  /** What is wrong with the configuration, one line each: then nothing was applied. */
  readonly errors: readonly string[];
};

/** What ExplainRoute answers. */
export type Explained = {
  readonly rule: string;
  readonly backend: string;
  readonly address: string;
  readonly steps: readonly string[];
};

export type DrainProgress = {
  /** `draining`, or `drained` at the end. */
  readonly state: string;
  readonly remaining: number;
  readonly forced: number;
};

/** Takes profiles of one process. */
export type OneProfiler = {
  readonly isBusy: boolean;
  /** For as long as `wait` says. @returns JSON. */
  take(kind: ProfileKind, wait: () => Promise<void>): Promise<string>;
};

/** The gateway itself, as its operators reach it. */
export type OwnGateway = {
  info(): Info;
  /** All workers of the process; none: it has only this gateway. */
  workers(): Promise<readonly WorkerFacts[]>;
  /** Of its process, or of another worker. @param worker 0: this one. */
  profilerOf(worker: number): OneProfiler;
  /** Sets what is in maintenance on this gateway alone, and on the other workers. */
  pauseHere(pause: Pause | null): Failure | null;
  /** What clients can do here. */
  playground(): PlaygroundFacts;
  /** The configuration in effect as YAML, secrets covered; that of all workers. */
  config(): string;
  /** @param level null: that of the configuration again. @param lastsMs 0: until it is changed again. */
  setLogLevel(level: LogLevel | null, lastsMs: number): void;
  /** Reads the configuration again, and applies it. Never rejects. */
  reload(): Promise<ReloadOutcome>;
  explain(
    route: string,
    session: { sid: string; uid: string; data: Readonly<Record<string, Json>> },
  ): Promise<Explained>;
  /** Relays a request on behalf of a session: the backend's answer, or why there is none. null: no such session here, nor on another worker. */
  call(
    sid: string,
    request: { route: string; body: Buffer; wantsAnswer: boolean; timeoutMs: number },
  ): Promise<Uint8Array | Failure | null>;
  /** Begins to drain, or follows a drain that has begun. @param budgetMs undefined: as configured. */
  drain(options: { budgetMs?: number | undefined; reason: string }): AsyncIterable<DrainProgress>;
};

export function gatewayMethods(own: OwnGateway, { one, many }: MakeMethods): Methods {
  return {
    Call: one('Call', async (request, audited) => {
      const { sid = '', route = '', body, notify = false, timeoutMs = 0 } = request;
      const answer = await own.call(sid, {
        ...{ route, body: Buffer.from(body ?? ''), wantsAnswer: !notify },
        timeoutMs: Math.min(timeoutMs, CALL_MS_MAX),
      });
      if (answer === null)
        throw new GatewayError(
          'NO_SESSION',
          'this gateway holds no such session: call the one that its sid names',
        );
      audited.touched = 1;
      return replyMessage(answer, notify);
    }),
    ExplainRoute: one('ExplainRoute', async ({ route = '', uid = '', data = {} }) =>
      explainedMessage(await own.explain(route, { sid: `${own.info().gateway}.0`, uid, data })),
    ),
    Drain: many('Drain', async function* ({ budgetMs, reason = '' }, call) {
      if (budgetMs !== undefined && budgetMs > DRAIN_MS_MAX)
        throw new GatewayError('BAD_ARGUMENT', 'budget is more than 24h');
      for await (const progress of own.drain({ budgetMs, reason })) {
        call.touched ??= progress.remaining;
        yield drainMessage(progress);
      }
    }),
    SetLogLevel: one('SetLogLevel', async ({ level = '', lastsMs = 0 }) => {
      const known = LOG_LEVELS.find((one) => one === level) ?? null;
      if (known === null && level !== '')
        throw new GatewayError('BAD_ARGUMENT', `level is not ${LOG_LEVELS.join(', ')}`);
      if (lastsMs > LOG_LEVEL_MS_MAX)
        throw new GatewayError('BAD_ARGUMENT', 'expires_in is more than 24h');
      own.setLogLevel(known, lastsMs);
      return infoMessage(own.info(), await own.workers());
    }),
    Reload: one('Reload', async () => reloadMessage(await own.reload())),
    GetConfig: one('GetConfig', () => configMessage(own.config())),
    GetInfo: one('GetInfo', async () => infoMessage(own.info(), await own.workers())),
    GetPlayground: one('GetPlayground', () => playgroundMessage(own.playground())),
  };
}
