/**
 * Every key of the configuration: its name, type, default, range and meaning. Types, environment names, the JSON
 * Schema for editors and the reference page all come from here.
 */
import { z } from 'zod';
import { parseBus } from './address.ts';
import {
  checkOf,
  choice,
  duration,
  flag,
  integer,
  path,
  secret,
  secretPath,
  secrets,
  size,
  text,
  texts,
  wholeNumber,
} from './fields.ts';
import { authSchema } from './schema-auth.ts';
import { backendsSchema } from './schema-backends.ts';
import { consulSchema } from './schema-consul.ts';
import { pomeloSchema } from './schema-dialects.ts';
import {
  adminSchema,
  controlSchema,
  healthSchema,
  listenSchema,
  natsTlsSchema,
} from './schema-listen.ts';
import { faultInOtlpUrl } from './otel-variables.ts';
import { limitsSchema } from './schema-limits.ts';
import { routesSchema } from './schema-routes.ts';
import { checkPattern, checkRoute, checkSubjectPrefix, isGeneration } from './syntax.ts';

const MONTH_MS = 30 * 86_400_000;
const MEBIBYTE = 1024 * 1024;
const MANY = { min: 1, max: 1_000_000 };

const natsSchema = z
  .strictObject({
    prefix: text('pith', 'First tokens of every subject.', checkSubjectPrefix),
    creds: secretPath('file', 'File with a JWT and its seed; empty: none.'),
    user: text('', 'User name; empty: none.'),
    password: secret('Password of `user`.'),
    token: secret('Token; empty: none.'),
    nkey: secret('Seed of an NKey; empty: none.'),
    tls: natsTlsSchema,
    split: flag(
      false,
      'Backends on NATS get a connection of their own, so that many pushes do not hold up answers; gives up the order between pushes and replies.',
    ),
  })
  .prefault({})
  .describe('The connection of the bus and of NATS backends.');

const sessionsSchema = z
  .strictObject({
    data: size('4KiB', 'Largest session data, as JSON; 0: none may be set. At most 1MiB.', {
      min: 0,
      max: MEBIBYTE,
    }),
    groups: integer(64, 'Groups per session, 0 to 10000; 0: none.', { min: 0, max: 10_000 }),
    group_ttl: duration(
      '0s',
      'How long a session stays in a group that it has joined; 0s: until it leaves or ends.',
      {
        zero: true,
      },
    ),
    max_age: duration(
      '0s',
      'A session ends this long after its connection, or up to a tenth earlier, and not while a request is in flight; 1s to 720h; 0s: never.',
      { min: 1_000, max: MONTH_MS, zero: true },
    ),
    resume: z
      .strictObject({
        window: duration('0s', 'How long a resume token lasts, 1s to 24h; 0s: none is issued.', {
          min: 1_000,
          zero: true,
        }),
        keys: secrets(
          'Keys of resume tokens, each 32 bytes in base64: the first encrypts, all decrypt.',
        ),
        replay: flag(false, 'A client that comes back is sent the kept pushes that it missed.'),
      })
      .prefault({})
      .describe('Coming back to a lost session without a new login.'),
  })
  .prefault({})
  .describe('What a session may hold.');

const eventsSchema = z
  .strictObject({
    groups: flag(false, "Events on the bus carry a session's groups."),
    data: texts(
      'Session data keys that events carry besides those that routes forward; "*": all. On the bus and to every backend.',
    ),
  })
  .prefault({})
  .describe('What is told when sessions come and go.');

const drainSchema = z
  .strictObject({
    budget: duration('25s', 'Time for closing all sessions; 0s: close them at once.', {
      zero: true,
    }),
    accept_for: duration('0s', 'Keep accepting this long after the signal; 0s: stop at once.', {
      zero: true,
    }),
    per_second: integer(100, 'Sessions closed a second, at least.', MANY),
    hint_route: text('', 'Push this route to clients before closing; empty: none.', checkRoute),
    hint_lead: duration('2s', 'From that push to the close, 100ms to 10m.', {
      min: 100,
      max: 600_000,
    }),
    signal: choice(['close', 'kick'], 'close', 'How a session ends: close, or kick first.'),
    generations: flag(
      false,
      'Unready, so that new clients go elsewhere, while gateways of a newer generation have room for all.',
    ),
    rebalance: flag(
      false,
      'Move sessions to gateways that were added, from those with more than 1.1 times the mean, per_second on all of them.',
    ),
  })
  .prefault({})
  .describe('Stopping: closes max(per_second, sessions / budget) a second.');

const telemetrySchema = z
  .strictObject({
    otlp: text(
      '',
      'OTLP endpoint of traces, as http://collector:4318; empty: none.',
      faultInOtlpUrl,
    ),
    sample: z
      .number()
      .min(0, 'expected a number from 0 to 1')
      .max(1, 'expected a number from 0 to 1')
      .prefault(0.01)
      .describe('Share of traces that are kept, 0 to 1.'),
    always: z
      .strictObject({
        errors: flag(true, 'Keep every trace with an error.'),
        slower_than: duration('1s', 'Keep every trace that takes longer; 0s: this rule is off.', {
          zero: true,
        }),
        per_second: integer(100, 'The most traces that are kept so in a second.', {
          min: 1,
          max: 100_000,
        }),
      })
      .prefault({})
      .describe('Traces that are kept whatever `sample` says.'),
    metrics: flag(true, 'Serve /metrics for Prometheus.'),
    otlp_metrics: duration('0s', 'How often the metrics go to `otlp`, too; 0s: never.', {
      zero: true,
      min: 1_000,
    }),
    refs: flag(
      false,
      'Put a `ref` into error answers, refused handshakes and kicks: `pith why REF` says what happened.',
    ),
  })
  .prefault({})
  .describe('Traces and metrics.');

const logSchema = z
  .strictObject({
    level: choice(
      ['debug', 'info', 'warn', 'error'],
      'info',
      'debug prints the route table at start and a line for every message.',
    ),
    format: choice(['auto', 'json', 'pretty'], 'auto', 'auto: pretty on a terminal, else json.'),
    client_ip: choice(
      ['full', 'masked', 'off'],
      'full',
      "Clients' addresses in the log and in what Control shows; masked: the first 24 bits of IPv4, 48 of IPv6. Backends get them whole.",
    ),
  })
  .prefault({})
  .describe('Logs, on standard output.');

const reloadSchema = z
  .strictObject({
    watch: flag(
      true,
      'Reload when a configuration file has changed, or a file with keys of auth.jwt; SIGHUP and Control.Reload always do.',
    ),
  })
  .prefault({})
  .describe('Changes while the gateway runs.');

const blocksSchema = z
  .strictObject({
    file: path(
      'file',
      'Who may not connect: a line of JSON for each network, uid or kind of client; read again when it changes. Empty: none.',
    ),
  })
  .prefault({})
  .describe('Clients that are kept out, besides those that Control has blocked.');

const maintenanceSchema = z
  .strictObject({
    enabled: flag(false, 'Answer 503 MAINTENANCE.'),
    routes: texts(
      'Only these routes, as in `match`; empty: all, and handshakes are refused.',
      checkPattern,
    ),
    allow_uids: texts('Uids that are served anyway.', (uid) =>
      uid === '' ? 'expected a uid; an empty one would stand for all who are not bound' : undefined,
    ),
    message: text('', 'Text of the answer; empty: the standard one.'),
    handshake_code: integer(503, 'Code that a refused handshake is answered, 400 to 599.', {
      min: 400,
      max: 599,
    }),
  })
  .prefault({})
  .describe('A planned pause.');

/** The whole configuration. */
export const configSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,48}$/, { error: 'expected 1 to 48 of A-Z a-z 0-9 _ -' })
    .prefault('pith')
    .describe('Name of this gateway, 1 to 48 of A-Z a-z 0-9 _ -; ten random characters are added.'),
  generation: text(
    '',
    'Label that each rollout changes, as pith/5c2b: what is before the slash is the fleet; empty: none.',
    (value) =>
      value === '' || isGeneration(value)
        ? undefined
        : 'expected 1 to 63 of A-Z a-z 0-9 . _ -, and maybe the name of the fleet and a slash before it',
  ),
  listen: z
    .array(listenSchema)
    .min(1, 'expected at least one listener')
    .prefault([{}])
    .describe('Where clients connect.'),
  heartbeat: duration(
    '30s',
    'Interval that clients get in the handshake: whole seconds; 0s: none.',
    {
      min: 1000,
      zero: true,
      wholeSeconds: true,
    },
  ),
  health: healthSchema,
  control: controlSchema,
  admin: adminSchema,
  bus: text(
    'embedded',
    'embedded, or nats://host:4222,nats://…; tls:// for TLS, which then holds for all of them.',
    checkOf(parseBus),
  ),
  bus_admin: flag(
    false,
    'Serve Call, ExplainRoute, GetConfig, SetLogLevel, Reload, GetInfo, SetMaintenance, GetMaintenance and Drain over NATS, as pith.gateway.<gateway id>.<Method>.',
  ),
  nats: natsSchema,
  pomelo: pomeloSchema,
  auth: authSchema,
  backends: backendsSchema,
  routes: routesSchema,
  sessions: sessionsSchema,
  events: eventsSchema,
  limits: limitsSchema,
  drain: drainSchema,
  telemetry: telemetrySchema,
  log: logSchema,
  reload: reloadSchema,
  consul: consulSchema,
  blocks: blocksSchema,
  maintenance: maintenanceSchema,
  workers: z
    .union([z.literal('auto'), wholeNumber({ min: 1, max: 256 })], {
      error: 'expected auto, or a whole number from 1 to 256',
    })
    .prefault(1)
    .describe(
      'Processes that share the ports and the limits, each a gateway of its own, 1 to 256; auto: one for each core that the container may use. Needs NATS as bus. Not for a sidecar.',
    ),
  worker_timeout: duration(
    '30s',
    'A worker that says nothing to the parent for this long hangs: it is killed and begun again; 0s: never.',
    { min: 5000, zero: true },
  ),
});

/** The configuration as the gateway reads it: durations in milliseconds, sizes in bytes. */
export type Config = z.output<typeof configSchema>;
/** The connection of the bus and of NATS backends. */
export type NatsConfig = Config['nats'];
/** What a session may hold. */
export type SessionsConfig = Config['sessions'];
/** What a client, a session and a backend may use up. */
export type LimitsConfig = Config['limits'];
/** How the gateway stops. */
export type DrainConfig = Config['drain'];
/** Traces and metrics. */
export type TelemetryConfig = Config['telemetry'];
/** Logs. */
export type LogConfig = Config['log'];
