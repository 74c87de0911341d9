// Backends: each entry is one of six kinds, told apart by the key that it has.
import { z } from 'zod';
import { checkGrpcAddress } from './address.ts';
import { autoFlag, checkedText, choice, flag, integer, pairs, secret, texts } from './fields.ts';
import { clientTlsSchema } from './schema-listen.ts';
import { checkHeader, checkMetadata, checkSubjectPrefix } from './syntax.ts';

/** The kinds of backends; each is also the key that makes an entry one of that kind. */
export const backendKinds = ['grpc', 'nats', 'http', 'ipc', 'reply', 'dial_in'] as const;

/** One of the kinds of backends. */
export type BackendKind = (typeof backendKinds)[number];

const grpcBackend = z
  .strictObject({
    grpc: checkedText(checkGrpcAddress).describe('dns:///host:port, unix:///path or host:port.'),
    mode: choice(
      ['link', 'handle', 'method'],
      'link',
      "link: one stream per gateway and address; handle: one call per message; method: the service's own methods.",
    ),
    links: integer(1, 'Links per address, 1 to 64.', { min: 1, max: 64 }),
    balance: choice(
      ['round_robin', 'pick_first'],
      'round_robin',
      'How addresses are chosen for a session or a call.',
    ),
    health: autoFlag('Watch grpc.health.v1 of the backend; auto: if it has it.'),
    tls: clientTlsSchema,
    metadata: pairs('Metadata sent with every call.', checkMetadata),
    services: texts('Services that mode: method may call, as lobby.v1.Rooms.', (value) =>
      /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(value)
        ? undefined
        : 'expected the full name of a service, as lobby.v1.Rooms',
    ),
    descriptors: texts('Files of FileDescriptorSets that describe the services.'),
    protos: texts('Folders of .proto files that describe the services.'),
    reflection: flag(false, 'Ask the backend itself for its descriptors.'),
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
      .prefault({})
      .describe('Subscribers on the bus; needs a NATS bus.'),
  })
  .transform((entry) => ({ kind: 'nats' as const, ...entry }));

const httpBackend = z
  .strictObject({
    http: checkedText(checkHttpUrl).describe('http://host:port or https://host:port.'),
    headers: pairs('Headers sent with every request.', checkHeader),
  })
  .transform((entry) => ({ kind: 'http' as const, ...entry }));

const ipcBackend = z
  .strictObject({
    ipc: checkedText((value) =>
      /^unix:(\/\/)?\/[^/]/.test(value) ? undefined : 'expected unix:///path',
    ).describe('unix:///path of the socket, one JSON object a line.'),
  })
  .transform((entry) => ({ kind: 'ipc' as const, ...entry }));

const replyBackend = z
  .strictObject({
    reply: z
      .record(z.string(), z.unknown())
      .refine((value) => isJson(value), { error: 'expected values that JSON has' })
      .describe('The answer to every request: a JSON object.'),
  })
  .transform((entry) => ({ kind: 'reply' as const, ...entry }));

const dialInBackend = z
  .strictObject({
    dial_in: z
      .strictObject({ token: secret('Token that the backend shows; empty: none.') })
      .prefault({})
      .describe('The backend opens the Link itself.'),
  })
  .transform((entry) => ({ kind: 'dial_in' as const, ...entry }));

/** One backend. */
export const backendSchema = z.preprocess(
  (value, context) => {
    const message = checkKind(value);
    if (message === undefined) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  },
  z.union([grpcBackend, natsBackend, httpBackend, ipcBackend, replyBackend, dialInBackend]),
);

/** All backends by name. */
export const backendsSchema = z
  .record(
    z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, {
      error: "a backend's name is 1 to 64 of A-Z a-z 0-9 _ -",
    }),
    backendSchema,
  )
  .prefault({})
  .describe('Backends by name: each one of grpc, nats, http, ipc, reply, dial_in.');

/** One backend; `kind` says which of the kinds it is. */
export type BackendConfig = z.output<typeof backendSchema>;
/** A backend reached by gRPC. */
export type GrpcBackendConfig = Extract<BackendConfig, { kind: 'grpc' }>;
/** A backend reached over the NATS bus. */
export type NatsBackendConfig = Extract<BackendConfig, { kind: 'nats' }>;
/** A backend that is a fixed answer. */
export type ReplyBackendConfig = Extract<BackendConfig, { kind: 'reply' }>;

/** Which kinds of backend an entry claims to be; exactly one for a valid entry. */
export function kindsOf(entry: unknown): BackendKind[] {
  if (typeof entry !== 'object' || entry === null) return [];
  return backendKinds.filter((kind) => Object.hasOwn(entry, kind));
}

function checkKind(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    return 'expected a backend, as { grpc: "dns:///chat:9000" }';
  }
  const kinds = kindsOf(entry);
  if (kinds.length === 1) return undefined;
  const expected = `expected exactly one of ${backendKinds.join(', ')}`;
  return kinds.length === 0 ? expected : `${expected}; got ${kinds.join(' and ')}`;
}

function checkHttpUrl(value: string): string | undefined {
  if (!/^https?:\/\//.test(value) || !URL.canParse(value)) {
    return 'expected http://host:port or https://host:port';
  }
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') return 'a password goes to "headers", not here';
  return undefined;
}

// YAML has .inf and .nan, JSON does not.
function isJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  return Object.values(value).every((item) => isJson(item));
}
