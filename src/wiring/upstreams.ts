/** Makes the upstream of each configured backend. */
import { readFileSync } from 'node:fs';

import type { Delivery } from '../bus/delivery.ts';
import { FLEET_WAIT_MS, type Reach, settle } from '../bus/reach.ts';
import type { Clock } from '../clock.ts';
import type {
  BackendConfig,
  HttpBackendConfig,
  IpcBackendConfig,
} from '../config/schema-backends.ts';
import { errorText, type Failure, failure, GatewayError } from '../errors.ts';
import type { Nats } from './nats.ts';
import { namesNobody, type Push } from '../session/commands.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { SessionVerb } from '../upstream/grpc/backend-frames.ts';
import type { DoneFields, PushedFields } from '../upstream/grpc/gateway-frames.ts';
import { type Downlink, GrpcUpstream } from '../upstream/grpc/grpc-upstream.ts';
import { type HttpTls, HttpUpstream } from '../upstream/http/http-upstream.ts';
import { IpcUpstream } from '../upstream/ipc/ipc-upstream.ts';
import { NatsUpstream } from '../upstream/nats/nats-upstream.ts';
import { Subjects } from '../upstream/nats/subjects.ts';
import { ReplyUpstream } from '../upstream/reply-upstream.ts';
import type { Upstream } from '../upstream/upstream.ts';

export type UpstreamParts = {
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly natsPrefix: string;
  readonly nats: Nats | null;
  readonly delivery: Delivery;
  readonly reach: Reach;
  readonly log: Log;
  readonly metrics: Metrics;
};

export function makeUpstream(name: string, backend: BackendConfig, parts: UpstreamParts): Upstream {
  const { gatewayId, version, clock, wheel, nats, log, metrics } = parts;
  switch (backend.kind) {
    case 'reply':
      return new ReplyUpstream(backend.reply);
    case 'nats': {
      const subjects = new Subjects(backend.nats.prefix ?? parts.natsPrefix, gatewayId);
      return new NatsUpstream(nats!.connector, subjects, nats!.answers, wheel);
    }
    case 'grpc': {
      const { grpc: url, metadata } = backend;
      const mode = backend.mode === 'handle' ? 'handle' : 'link';
      return new GrpcUpstream(
        { name, url, mode, metadata, gatewayId, version, clock, wheel },
        makeDownlink(name, parts),
        {
          onState: (address, state, why) => {
            const level = state === 'away' || state === 'unresolved' ? 'warn' : 'info';
            log[level]({ backend: name, address, state, why }, 'backend');
          },
          onLateReply: () => {
            metrics.add('pith_late_replies_total', ['grpc']);
          },
        },
      );
    }
    case 'http':
      return makeHttp(name, backend, parts);
    case 'ipc':
      return makeIpc(name, backend, parts);
    case 'dial_in':
      // The configuration refuses them before anything is built.
      throw new GatewayError(
        'UNSUPPORTED',
        `backends.${name}: ${backend.kind} is not yet available`,
      );
  }
}

function makeHttp(name: string, backend: HttpBackendConfig, parts: UpstreamParts): HttpUpstream {
  const { clock, wheel, log } = parts;
  const { http: url, headers } = backend;
  const seldom = new Seldom(clock);
  return new HttpUpstream(
    { name, url, headers, tls: tlsOf(name, backend.tls), clock, wheel },
    {
      onState: (state, why) => {
        const level = state === 'away' ? 'warn' : 'info';
        log[level]({ backend: name, address: url, state, why }, 'backend');
      },
      onTrouble: (kind, route, why) => {
        const left = seldom.take(kind);
        if (left !== null) log.warn({ backend: name, route, why, ...left }, 'call failed');
      },
      onUntold: (why, pausedMs) => {
        const left = seldom.take(`untold ${pausedMs}`);
        const paused = pausedMs > 0 && { notAgainForMs: pausedMs };
        if (left !== null)
          log.warn({ backend: name, why, ...paused, ...left }, 'ended sessions untold');
      },
    },
  );
}

function makeIpc(name: string, { ipc }: IpcBackendConfig, parts: UpstreamParts): IpcUpstream {
  const { clock, wheel, reach, delivery, log, metrics } = parts;
  const path = ipc.replace(/^unix:(\/\/)?/, '');
  const seldom = new Seldom(clock);
  return new IpcUpstream(
    { name, path, clock, wheel },
    {
      push: (push: Push) => {
        const refused = reach.push(push, null);
        if (refused !== null)
          log.warn({ backend: name, route: push.route, why: refused.message }, 'push refused');
      },
      verb: (verb) => {
        void runSessionVerb(verb, reach, delivery).then(({ failure: refused }) => {
          if (refused !== null)
            log.warn({ backend: name, why: refused.message }, 'session change refused');
        });
      },
    },
    {
      onState: (state, why) => {
        const level = state === 'away' ? 'warn' : 'info';
        log[level]({ backend: name, address: ipc, state, why }, 'backend');
      },
      onLateReply: () => {
        metrics.add('pith_late_replies_total', ['ipc']);
      },
      onTrouble: (kind, why) => {
        const left = seldom.take(kind);
        if (left !== null) log.warn({ backend: name, why, ...left }, 'backend line');
      },
    },
  );
}

/** PEM texts; each may be a file's path in the configuration. */
function tlsOf(name: string, tls: HttpTls): HttpTls {
  const read = (key: keyof HttpTls): string => {
    const value = tls[key];
    if (value === '' || value.includes('-----BEGIN ')) return value;
    try {
      return readFileSync(value, 'utf8');
    } catch (error) {
      throw new GatewayError(
        'BAD_ARGUMENT',
        `backends.${name}.tls.${key}: cannot read it: ${errorText(error)}`,
        { cause: error },
      );
    }
  };
  return { ca: read('ca'), cert: read('cert'), key: read('key') };
}

/** How many log lines of one kind there may be in how many milliseconds. */
const SELDOM_LINES = 5;
const SELDOM_MS = 10_000;

/** Lets a few log lines of each kind through, and says how many it has left out before. Kinds are few. */
class Seldom {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { since: number; lines: number; leftOut: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What to add to the line; null: not this time. */
  take(kind: string): { leftOut?: number } | null {
    const now = this.#clock.now();
    const known = this.#kinds.get(kind);
    if (known === undefined || now >= known.since + SELDOM_MS) {
      this.#kinds.set(kind, { since: now, lines: 1, leftOut: 0 });
      return known === undefined || known.leftOut === 0 ? {} : { leftOut: known.leftOut };
    }
    if (known.lines < SELDOM_LINES) {
      known.lines++;
      return {};
    }
    known.leftOut++;
    return null;
  }
}

/** What a backend may ask for over its Link. */
function makeDownlink(name: string, parts: UpstreamParts): Downlink {
  const { reach, delivery, log } = parts;
  return {
    push: (push, counted) => {
      if (counted)
        return reach
          .pushCounted(push, FLEET_WAIT_MS)
          .then((outcome) => ('reason' in outcome ? noOne(outcome) : outcome));
      const refused = reach.push(push, null);
      if (refused !== null)
        log.warn({ backend: name, route: push.route, why: refused.message }, 'push refused');
      return null;
    },
    verb: (verb) => runSessionVerb(verb, reach, delivery),
  };

  function noOne(why: Failure): PushedFields {
    log.warn({ backend: name, why: why.message }, 'push refused');
    return {
      delivered: 0,
      dropped: 0,
      refused: 0,
      gateways: 0,
      unknownUids: [],
      unknownSids: [],
      silentGateways: [],
    };
  }
}

/** A patch takes effect at once, in the order of the frames; what it answers waits for the confirmation. */
async function runSessionVerb(
  verb: SessionVerb,
  reach: Reach,
  delivery: Delivery,
): Promise<DoneFields> {
  const { target, patch, close } = verb;
  if (namesNobody(target)) {
    return {
      changed: 0,
      version: 0,
      failure: failure('BAD_ARGUMENT', 'the verb names nobody: give sids, uids, groups or all'),
    };
  }
  if (close !== null) {
    const outcome = await reach.close(target, close);
    if ('reason' in outcome) return { changed: 0, version: 0, failure: outcome };
    return { changed: outcome.closed, version: 0, failure: null };
  }
  if (patch === null) return { changed: 0, version: 0, failure: null };
  const own = delivery.select(target).map((session) => settle(delivery.patch(session, patch)));
  const elsewhere = (target.sids ?? [])
    .filter((sid) => delivery.bySid(sid) === undefined)
    .map((sid) => reach.patch(sid, patch));
  let changed = 0;
  let version = 0;
  for (const outcome of await Promise.all([...own, ...elsewhere])) {
    if ('reason' in outcome) return { changed, version, failure: outcome };
    changed += outcome.changed;
    version = Math.max(version, outcome.version);
  }
  return { changed, version, failure: null };
}
