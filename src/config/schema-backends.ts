/** Backends: each entry is one of seven kinds, which its key shows. */
import { z } from 'zod';
import { checkDialled, checkGrpcAddress, parseHostPort } from './address.ts';
import {
  autoFlag,
  checkedText,
  checkOf,
  choice,
  duration,
  flag,
  integer,
  pairs,
  paths,
  secret,
  text,
  texts,
  wholeNumber,
} from './fields.ts';
import { didYouMean } from './problem.ts';
import { clientTlsSchema } from './schema-listen.ts';
import { methodKeys } from './schema-method.ts';
import { keysAt } from './schema-tree.ts';
import { checkHeader, checkMetadata, checkSubjectPrefix } from './syntax.ts';

/** The kinds of backends; each is also the key that makes an entry one of that kind. */
export const BACKEND_KINDS = ['grpc', 'nats', 'http', 'ipc', 'reply', 'gate', 'dial_in'] as const;

/** One of the kinds of backends. */
export type BackendKind = (typeof BACKEND_KINDS)[number];

const breaker = z
  .strictObject({
    failures: integer(0, 'Failures in a row that open it, 1 to 10000; 0: never.', {
      min: 0,
      max: 10_000,
    }),
    open: duration('5s', 'How long it stays open; after that one message tries the backend.'),
  })
  .prefault({})
  .describe('Circuit breaker: a backend that keeps failing is left alone for a while.');

const deadAfter = duration(
  '30s',
  'A connection with something in flight on which nothing arrives for this long is dead: what is in flight fails, ' +
    'and a new connection is made. Before that the backend is asked for a sign of life twice. 0s: never.',
  { min: 1_000, zero: true },
);

const balance = choice(
  ['round_robin', 'least_in_flight', 'hash', 'pick_first'],
  'round_robin',
  'How a session gets its address, or its attached process: in turn, the one with the least in flight, by hash_by, or the first that is reachable.',
);

const hashBy = text(
  'uid',
  'With balance: hash, the key: uid, or data.<key> of the session; if that is empty, the session id.',
  (value) => (/^(uid|data\..+)$/.test(value) ? undefined : 'expected uid or data.<key>'),
);

const grpcBackend = z
  .strictObject({
    grpc: checkedText(checkGrpcAddress).describe('dns:///host:port, unix:///path or host:port.'),
    mode: choice(
      ['link', 'handle', 'method'],
      'link',
      "link: one stream per gateway and address; handle: one call per message; method: the service's own methods.",
    ),
    links: integer(1, 'Links per address, 1 to 64; a session stays on one.', { min: 1, max: 64 }),
    link_age: duration(
      '0s',
      'How old a link may be, plus or minus a fifth, before a new one replaces it; 0s: no limit.',
      { min: 1_000, zero: true },
    ),
    dead_after: deadAfter,
    balance,
    hash_by: hashBy,
    weights: z
      .record(z.string(), wholeNumber({ min: 1, max: 1_000 }))
      .superRefine((record, context) => {
        for (const name of Object.keys(record)) {
          const message = checkOf(parseHostPort)(name);
          if (message !== undefined) context.addIssue({ code: 'custom', message, path: [name] });
        }
      })
      .prefault({})
      .describe('Weights of single addresses by host:port, 1 to 1000; the others have 1.'),
    health: autoFlag(
      'Watch grpc.health.v1 of the backend: one that is NOT_SERVING gets no sessions; auto: if it has it; ' +
        'true: no sessions before it says SERVING.',
    ),
    tls: clientTlsSchema.describe(
      'TLS towards the backend: on when any of its keys is set; ca: system: the authorities of the system.',
    ),
    metadata: pairs('Metadata sent with every call.', checkMetadata),
    breaker,
    services: texts('Services that mode: method may call, as lobby.v1.Rooms.', (value) =>
      /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(value)
        ? undefined
        : 'expected the full name of a service, as lobby.v1.Rooms',
    ),
    descriptors: paths('file', 'FileDescriptorSet files that describe the services.'),
    protos: paths('folder', 'Folders of .proto files that describe the services.'),
    reflection: flag(false, 'Ask the backend itself for its descriptors.'),
    ...methodKeys,
  })
  .transform((entry) => ({ kind: 'grpc' as const, ...entry }));

const natsBackend = z
  .strictObject({
    nats: z
      .strictObject({
        prefix: checkedText(checkSubjectPrefix)
          .optional()
          .describe('First tokens of the subjects; default: nats.prefix.'),
      })
      .describe('Subscribers on the bus; needs a NATS bus.'),
    breaker,
  })
  .transform((entry) => ({ kind: 'nats' as const, ...entry }));

const httpBackend = z
  .strictObject({
    http: checkedText(checkHttpUrl).describe(
      'http://host:port or https://host:port; a path becomes the prefix of all others.',
    ),
    headers: pairs('Headers sent with every request.', checkHttpHeader),
    tls: clientTlsSchema,
  })
  .transform((entry) => ({ kind: 'http' as const, ...entry }));

const ipcBackend = z
  .strictObject({
    ipc: checkedText(checkSocket).describe('unix:///path of the socket, one JSON object a line.'),
  })
  .transform((entry) => ({ kind: 'ipc' as const, ...entry }));

const replyBackend = z
  .strictObject({
    reply: z
      .record(z.string(), z.unknown())
      .refine((value) => isJson(value), { error: 'expected JSON values' })
      .describe('The answer to every request: a JSON object.'),
  })
  .transform((entry) => ({ kind: 'reply' as const, ...entry }));

const gateBackend = z
  .strictObject({
    gate: z
      .strictObject({
        advertise: z
          .strictObject({
            ws: text('', 'host:port for clients that ask over WebSocket.', checkDialled),
            tcp: text('', 'host:port for clients that ask over TCP.', checkDialled),
            wss: text('', 'host:port for WebSocket with TLS; empty: that of ws.', checkDialled),
            tls: text('', 'host:port for TCP with TLS; empty: that of tcp.', checkDialled),
          })
          .prefault({})
          .describe('Where clients reach this gateway, from outside.'),
      })
      .describe("The address of a ready gateway, as Pomelo's gate answers it."),
  })
  .transform((entry) => ({ kind: 'gate' as const, ...entry }));

const dialInBackend = z
  .strictObject({
    dial_in: z
      .strictObject({ token: secret('Token that the backend shows; empty: none.') })
      .describe('The backend opens the Link itself.'),
    dead_after: deadAfter,
    balance,
    hash_by: hashBy,
    breaker,
  })
  .transform((entry) => ({ kind: 'dial_in' as const, ...entry }));

const kindSchema = z.union([
  grpcBackend,
  natsBackend,
  httpBackend,
  ipcBackend,
  replyBackend,
  gateBackend,
  dialInBackend,
]);
const KNOWN_KEYS = new Set(keysAt(kindSchema, []));

/** One backend. */
export const backendSchema = z.preprocess((value, context) => {
  const message = checkKind(value);
  if (message === undefined) return withKindsMap(value as Readonly<Record<string, unknown>>);
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}, kindSchema);

/**
 * `nats:` alone is an empty map; so are `gate:` and `dial_in:`. Not by a default of the schema: a kind whose own key may
 * be missing fits any entry, so a wrong value in another kind would read as unknown keys of this one.
 */
function withKindsMap(entry: Readonly<Record<string, unknown>>): unknown {
  const [kind] = kindsOf(entry);
  const isEmpty =
    (kind === 'nats' || kind === 'gate' || kind === 'dial_in') && entry[kind] === undefined;
  return isEmpty ? { ...entry, [kind]: {} } : entry;
}

/** All backends by name. */
export const backendsSchema = z
  .record(
    z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, {
      error: "a backend's name is 1 to 64 of A-Z a-z 0-9 _ -",
    }),
    backendSchema,
  )
  .prefault({})
  .describe('Backends by name: each one of grpc, nats, http, ipc, reply, gate, dial_in.');

/** One backend; `kind` says which of the kinds it is. */
export type BackendConfig = z.output<typeof backendSchema>;
/** A backend reached by gRPC. */
export type GrpcBackendConfig = Extract<BackendConfig, { kind: 'grpc' }>;
/** A backend reached over the NATS bus. */
export type NatsBackendConfig = Extract<BackendConfig, { kind: 'nats' }>;
/** A backend reached by HTTP. */
export type HttpBackendConfig = Extract<BackendConfig, { kind: 'http' }>;
/** A backend on a Unix socket. */
export type IpcBackendConfig = Extract<BackendConfig, { kind: 'ipc' }>;
/** A backend that dials in. */
export type DialInBackendConfig = Extract<BackendConfig, { kind: 'dial_in' }>;
/** A backend that is a fixed answer. */
export type ReplyBackendConfig = Extract<BackendConfig, { kind: 'reply' }>;

/** A backend that tells clients the address of a gateway. */
export type GateBackendConfig = Extract<BackendConfig, { kind: 'gate' }>;

/** Which kinds of backend an entry claims to be; exactly one for a valid entry. */
export function kindsOf(entry: unknown): BackendKind[] {
  if (typeof entry !== 'object' || entry === null) return [];
  return BACKEND_KINDS.filter((kind) => Object.hasOwn(entry, kind));
}

function checkKind(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    return 'expected a backend, as { grpc: "dns:///chat:9000" }';
  }
  const kinds = kindsOf(entry);
  if (kinds.length === 1) return undefined;
  const expected = `expected exactly one of ${BACKEND_KINDS.join(', ')}`;
  if (kinds.length > 1) return `${expected}; got ${kinds.join(' and ')}`;
  const unknown = Object.keys(entry).filter((key) => !KNOWN_KEYS.has(key));
  for (const key of unknown) {
    const near = didYouMean(key, BACKEND_KINDS);
    if (near !== '') return `unknown kind of backend ${JSON.stringify(key)}${near}`;
  }
  const got = unknown.map((key) => JSON.stringify(key)).join(' and ');
  return got === '' ? expected : `${expected}; got ${got}`;
}

function checkHttpUrl(value: string): string | undefined {
  if (!/^https?:\/\//.test(value) || !URL.canParse(value)) {
    return 'expected http://host:port or https://host:port';
  }
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') return 'a password goes to "headers", not here';
  if (url.search !== '' || url.hash !== '') return 'expected no ? and no #; a path is fine';
  return undefined;
}

/** As any header; and what a connection has of its own, or what would change the answer's form, is the gateway's. */
function checkHttpHeader(name: string, value: string): string | undefined {
  return /^(transfer-encoding|keep-alive|upgrade|expect|accept-encoding|traceparent|tracestate)$/i.test(
    name,
  )
    ? 'this header is set by the gateway'
    : checkHeader(name, value);
}

/** [unix(7)] The kernel's limit, with the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 107;

function checkSocket(value: string): string | undefined {
  const [, path] = /^unix:(?:\/\/)?(\/[^/].*)$/.exec(value) ?? [];
  if (path === undefined) return 'expected unix:///path, the absolute path of a socket';
  const bytes = Buffer.byteLength(path);
  return bytes > SOCKET_PATH_BYTES_MAX
    ? `a socket's path has at most ${SOCKET_PATH_BYTES_MAX} bytes; this one has ${bytes}`
    : undefined;
}

/** YAML has .inf and .nan, JSON does not. */
function isJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  return Object.values(value).every((item) => isJson(item));
}
