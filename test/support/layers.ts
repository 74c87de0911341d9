/**
 * Who may import whom in src/, and the check of it. An allow-list: what no row names is refused, and so is a
 * file that no row covers.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix, relative, sep } from 'node:path';
import { findBehaviour, findImports } from './syntax.ts';

/**
 * One row per file (`clock.ts`) or folder (`session/`) of src/; the longest that fits a file counts, alone.
 * A row lists what may be imported beside its own folder and `FOR_ALL`:
 *   `relay/`          all files of a folder, but those with a row of their own
 *   `relay/relay.ts`  one file
 *   `upstream/call*`  files that begin so
 *   `*`               every file of src/ but those in `ENTRY`
 *   `type relay/`     only by `import type`
 *   `node:net`, `ws`  a module, with its subpaths
 */
export type Rules = Readonly<Record<string, readonly string[]>>;

/** Importable from everywhere, except from each other. */
export const FOR_ALL = [
  'errors.ts',
  'clock.ts',
  'random.ts',
  'background.ts',
  'backoff.ts',
  'bytes.ts',
  'fifo.ts',
  'node-http.ts',
  'gathered.ts',
  'held.ts',
  'ip.ts',
  'ref.ts',
  'turn-share.ts',
];

/** Where a run begins: `*` leaves these out. */
export const ENTRY = [
  'main.ts',
  'serve.ts',
  'serve-worker.ts',
  'serving.ts',
  'gateway.ts',
  'shutdown.ts',
  'wiring/',
  'cli/',
];

/** What counts and logs: for every row but protocol, routing, config and the files that import nothing. */
const SEEN = ['telemetry/metrics.ts', 'telemetry/log.ts'];

const GRPC = ['@grpc/grpc-js', '@grpc/proto-loader'];
const UPSTREAM = [
  'type failures/',
  'contract/',
  'routing/',
  'protocol/',
  'gen/',
  'type session/',
  'timer-wheel.ts',
  'type transport/pem.ts',
  ...SEEN,
];

// oxfmt-ignore
export const RULES: Rules = {
  // Nothing below these.
  'errors.ts':      [],
  'clock.ts':       [],
  'random.ts':      ['node:crypto'],
  'background.ts':  [],
  'backoff.ts':     ['type random.ts'],
  'bytes.ts':       [],
  'fifo.ts':        [],
  'heap.ts':        ['type clock.ts', 'node:v8', 'node:vm'],
  'node-http.ts':   ['node:module', 'node:http'],
  'gathered.ts':    ['bytes.ts'],
  'held.ts':        ['bytes.ts'],
  'ip.ts':          ['node:net'],
  'ref.ts':         [],
  'spiffe.ts':      [],
  'timer-wheel.ts': ['clock.ts'],
  'turn-share.ts':  ['type clock.ts', 'fifo.ts'],
  'gen/':           ['@bufbuild/protobuf', 'protobufjs', 'long', 'type @grpc/grpc-js', 'type @grpc/proto-loader'],

  // Pure: no I/O, no logs.
  'protocol/': ['node:buffer', 'node:crypto'],
  'routing/':  ['protocol/exact-json.ts'],
  'config/':   ['routing/', 'upstream/http/path.ts', 'spiffe.ts', 'zod', 'yaml', 'node:net', 'node:path', 'node:util'],
  'config/pomelo-project.ts': ['type dialect/pomelo.ts', 'protocol/', 'node:fs', 'node:path'],
  'contract/': ['protocol/', 'node:buffer'],

  'failures/': ['session/close-reason.ts'],

  // Life of a packet.
  'transport/':     ['protocol/', 'timer-wheel.ts', 'ws', 'node:net', 'node:http', 'node:tls', 'node:crypto', 'node:stream', 'node:util', ...SEEN],
  'dialect/':       ['protocol/', 'node:buffer', 'node:crypto', 'node:zlib'],
  'session/':       ['failures/', 'telemetry/log-throttle.ts', 'type telemetry/histogram.ts', 'protocol/', 'dialect/', 'contract/', 'transport/', 'timer-wheel.ts', 'type node:crypto', ...SEEN],
  'relay/':         ['failures/', 'contract/', 'type orders/', 'telemetry/log-throttle.ts', 'telemetry/histogram.ts', 'type telemetry/tracing.ts', 'protocol/', 'dialect/', 'routing/', 'session/', 'upstream/upstream.ts', 'upstream/call*', 'timer-wheel.ts', ...SEEN],
  'watch/':         ['contract/', 'node:buffer', 'type protocol/message.ts', 'protocol/packet.ts', 'type relay/', 'routing/', 'session/', ...SEEN],
  'resume/':        ['contract/', 'protocol/', 'session/', 'type bus/', 'timer-wheel.ts', 'telemetry/log-throttle.ts', 'node:crypto', ...SEEN],
  'takeover/':      ['contract/', 'protocol/', 'session/', 'type orders/', 'type resume/', 'type transport/', 'type timer-wheel.ts', 'type upstream/nats/nats-connection.ts', 'type upstream/nats/wanted-subscriptions.ts', 'node:buffer', 'node:crypto', ...SEEN],
  'orders/':        ['config/client-rules.ts', 'config/syntax.ts', 'type contract/', 'protocol/exact-json.ts', 'protocol/json-parse.ts', 'routing/route-table.ts', 'session/', 'timer-wheel.ts', 'node:buffer', 'node:fs', 'node:net', ...SEEN],
  'auth/':          ['auth/jwt/', 'type orders/', 'type bus/session-commands.ts', 'config/client-rules.ts', 'type contract/', 'dialect/signature.ts', 'protocol/', 'type resume/', 'type session/', 'type upstream/upstream.ts', 'timer-wheel.ts', 'telemetry/log-throttle.ts', ...SEEN],
  'auth/jwt/':      ['config/jwt-keys.ts', 'config/paths.ts', 'type config/', 'type contract/', 'protocol/', 'type transport/pem.ts', 'telemetry/log-throttle.ts', 'jose', 'node:buffer', 'node:crypto', 'node:https', ...SEEN],
  'upstream/':      [...UPSTREAM, 'telemetry/log-throttle.ts'],
  'upstream/pool/': ['upstream/', ...UPSTREAM, 'node:dns'],
  'upstream/link/': ['upstream/', 'upstream/pool/', ...UPSTREAM],
  'upstream/dial-in/': ['upstream/', 'upstream/link/', 'upstream/pool/', ...UPSTREAM, 'node:crypto', 'node:events'],
  'upstream/grpc-client/': ['upstream/', 'upstream/pool/', ...UPSTREAM, ...GRPC, 'node:diagnostics_channel', 'type node:http2'],
  'upstream/grpc/': ['upstream/', 'upstream/grpc-client/', 'upstream/link/', 'upstream/pool/', ...UPSTREAM, ...GRPC],
  'upstream/http/': ['upstream/', ...UPSTREAM, 'undici', 'node:module', 'node:buffer'],
  'upstream/ipc/':  ['upstream/', ...UPSTREAM, 'node:net', 'node:buffer'],
  'upstream/method/': ['upstream/', 'upstream/grpc-client/', 'upstream/pool/', ...UPSTREAM, ...GRPC, '@bufbuild/protobuf', 'config/problem.ts', 'node:buffer', 'node:crypto', 'node:fs', 'node:path'],
  'upstream/nats/': ['upstream/', ...UPSTREAM, 'telemetry/log-throttle.ts', 'node:buffer', 'node:crypto', 'node:net', 'node:tls'],
  'upstream/nats/dial.ts': ['upstream/nats/', 'nats', 'node:fs', 'node:net', 'type node:tls'],

  // From backends back to clients, and what operators call.
  'placement/': ['type bus/', 'type config/', 'session/close-reason.ts', 'session/departures.ts', 'session/pace.ts', 'type session/', 'timer-wheel.ts', ...SEEN],
  'bus/':     ['failures/', 'watch/', 'config/syntax.ts', 'contract/', 'orders/', 'resume/', 'session/', 'type dialect/', 'protocol/', 'timer-wheel.ts', 'type upstream/backend-commands.ts', 'type upstream/backend-report.ts', 'telemetry/log-throttle.ts', 'type telemetry/histogram.ts', 'type telemetry/push-traces.ts', 'type telemetry/tracing.ts', 'type upstream/nats/nats-connection.ts', 'type upstream/nats/connection-state.ts', 'type upstream/nats/nats-connector.ts', 'type upstream/nats/nats-report.ts', 'upstream/nats/header-block.ts', 'upstream/nats/outgoing.ts', 'upstream/nats/subjects.ts', ...SEEN],
  'control/': ['type telemetry/profiler.ts', 'failures/', 'watch/watch.ts', 'config/syntax.ts', 'control/attach*', 'bus/', 'orders/', 'contract/', 'node:buffer', 'protocol/', 'session/', 'routing/', 'gen/', 'type config/', ...GRPC, '@bufbuild/protobuf', 'grpc-health-check', 'node:fs', 'node:url', 'node:net', 'node:http', 'type node:stream', 'upstream/dial-in/attach-stream.ts', 'transport/pending-connection.ts', 'transport/http-refusal.ts', 'transport/operator-port.ts', 'type transport/port.ts', 'upstream/method/json-reader.ts', 'node:crypto', 'type node:tls', 'spiffe.ts', 'telemetry/log-throttle.ts', 'telemetry/history.ts', ...SEEN],
  'control/attach*': ['control/attach*', 'control/contract-files.ts', 'control/paths.ts', 'control/peer-address.ts', 'type telemetry/log.ts', 'telemetry/log-throttle.ts', 'contract/', 'protocol/', 'transport/pending-connection.ts', 'upstream/method/json-reader.ts', 'upstream/dial-in/', 'upstream/liveness.ts', 'timer-wheel.ts', 'ws', '@bufbuild/protobuf', ...GRPC, 'type node:stream', 'node:fs', 'node:url', 'node:http', 'node:diagnostics_channel', 'type node:http2'],

  // Beside that path.
  'discovery/': ['type config/', 'type placement/', 'config/address.ts', 'config/consul-service.ts', 'type transport/pem.ts', 'type telemetry/log.ts', 'node:http', 'node:https', 'node:net'],
  'reference/': ['auth/jwt/token.ts', 'transport/refused.ts', 'failures/advice.ts', 'config/', 'control/contract-files.ts', 'control/roles.ts', 'session/close-reason.ts', 'telemetry/instruments.ts', '@bufbuild/protobuf', 'zod'],
  'explain/':   ['config/', 'routing/', 'upstream/http/path.ts', 'upstream/method/schema-check.ts', 'upstream/nats/subjects.ts'],
  'faults.ts':  ['telemetry/log-throttle.ts', ...SEEN],
  'telemetry/': ['config/', 'timer-wheel.ts', 'pino', '@opentelemetry/api', '@opentelemetry/sdk-node', '@opentelemetry/resources', '@opentelemetry/sdk-metrics', '@opentelemetry/exporter-trace-otlp-http', '@opentelemetry/exporter-trace-otlp-proto', '@opentelemetry/exporter-metrics-otlp-http', '@opentelemetry/exporter-metrics-otlp-proto', 'node:fs', 'node:perf_hooks', 'node:inspector'],

  // Our own client: of the gateway's code it has nothing, and browsers have no `node:`.
  'client/':       [],
  'client/tcp.ts': ['client/', 'node:net', 'node:tls'],

  // What puts it together. Nobody imports these but as listed here.
  // Pages in a browser: they have what a browser has.
  'web/shell/':      ['preact'],
  'web/playground/': ['web/shell/', 'client/', 'preact'],
  'web/console/':    ['web/shell/', 'preact', 'uplot'],

  'reload/':    ['auth/jwt/', 'config/', 'telemetry/log-throttle.ts', 'type control/gateway-methods.ts', 'relay/', 'routing/', 'upstream/dial-in/', 'type session/registry.ts', 'type upstream/upstream.ts', 'node:util', ...SEEN],
  'wiring/':    ['*', 'node:crypto', 'node:fs', 'node:path', 'node:util'],
  'shutdown.ts': ['session/', 'type bus/', 'type placement/', 'type control/', 'type discovery/', 'faults.ts', 'type reload/', 'type telemetry/', 'type timer-wheel.ts', 'type transport/', 'type wiring/'],
  'gateway.ts': ['*', 'shutdown.ts', 'wiring/'],
  'workers/':   ['type config/', 'type cli/arguments.ts', 'type takeover/', 'type control/gateway-methods.ts', 'type orders/maintenance.ts', 'type reload/reload.ts', 'type telemetry/profiler.ts', 'type telemetry/recent-lines.ts', 'type transport/acceptor.ts', 'type transport/address-limit.ts', 'transport/raw-handle.ts', 'transport/refused.ts', 'telemetry/instruments.ts', 'telemetry/log-throttle.ts', 'telemetry/samples.ts', 'node:net', ...SEEN],
  'cli/':       ['failures/', 'node:buffer', 'node:fs/promises', 'reference/', 'auth/jwt/own-keys.ts', 'explain/', 'client/', 'client/tcp.ts', 'config/', 'config/pomelo-project.ts', 'routing/', 'protocol/', 'gen/', 'orders/blocks-file.ts', 'upstream/http/path.ts', 'upstream/method/schema-check.ts', 'upstream/nats/subjects.ts', 'transport/certificate.ts', 'transport/pem.ts', 'wiring/dialects.ts', 'type workers/upgrade.ts', 'ws', 'node:child_process', 'node:events', 'node:net', 'node:os', 'node:readline', 'node:stream', 'node:util', ...GRPC, 'yaml', 'node:fs', 'node:path', 'node:url', ...SEEN],
  'signals.ts': [],
  'serving.ts': ['gateway.ts', 'heap.ts', 'wiring/network.ts', 'config/', 'telemetry/', 'cli/', 'node:os'],
  'serve.ts':   ['serving.ts', 'type gateway.ts', 'type signals.ts', 'workers/', 'config/', 'type reload/reload.ts', 'type telemetry/', 'cli/', 'node:child_process', 'node:os'],
  'serve-worker.ts': ['serving.ts', 'type gateway.ts', 'type signals.ts', 'workers/', 'takeover/', 'wiring/dialects.ts', 'wiring/takeover.ts', 'cli/exit-codes.ts', 'cli/read-config.ts', 'config/', 'type telemetry/'],
  'main.ts':    ['heap.ts', 'serve.ts', 'serve-worker.ts', 'signals.ts', 'workers/words.ts', 'config/', 'cli/', 'node:fs'],
};

/** What is behind each row of RULES, in a sentence. With RULES it is the table of src/README.md. */
// oxfmt-ignore
export const WHAT: Readonly<Record<string, string>> = {
  'errors.ts':      'the table of errors: code, reason, message',
  'clock.ts':       'the only place that reads the time, sets a timer or waits for a turn of the event loop',
  'random.ts':      'the only place that draws random numbers',
  'background.ts':  'work that nothing waits for, with a handler for its error',
  'backoff.ts':     'growing pauses between attempts, with jitter',
  'bytes.ts':       'views of bytes; the empty buffer and the empty object',
  'node-http.ts':   '`node:http`, without what an import of it would load',
  'heap.ts':        'the new space of V8: small at the start, and small again after a load',
  'fifo.ts':        'a queue that keeps nothing of what was taken',
  'gathered.ts':    'bytes that arrive in pieces, kept in few of them',
  'held.ts':        'bytes of clients that wait for the rest, in memory that is given back',
  'ip.ts':          'IP addresses in one form each, and networks of them',
  'turn-share.ts':  'how much of one kind of work a turn of the event loop may do',
  'ref.ts':         'the name of a message or a session in errors, logs and traces',
  'spiffe.ts':      'the names of workloads in certificates; pure',
  'timer-wheel.ts': 'one timer for all deadlines',
  'gen/':           'generated from proto/ by `make gen`; never edited',

  'protocol/': 'the Pomelo wire: packets, messages, protobuf, JSON text; pure',
  'routing/':  'routes, rules, the route table; pure',
  'config/':   'every key: type, default, range, meaning; pure',
  'config/pomelo-project.ts': 'reads the files of an existing Pomelo project',
  'contract/': 'the shapes of `pith.v1`, in protobuf, JSON and headers',

  'failures/':      'the last failures and what they mean: kept, read back, explained; pure',
  'transport/':     'sockets, TLS, listening ports',
  'dialect/':       'what differs between the families of clients; pure',
  'session/':       'the state and the order of one client; the registry of all',
  'relay/':         'one message in, at most one answer out; retries, breakers',
  'watch/':         'what operators see of the packets of sessions while they look',
  'resume/':        'coming back to a lost session with a token',
  'orders/':        'what operators order for the whole fleet: who is kept out, and what is in maintenance',
  'takeover/':      'a new process goes on with the clients of an old one',
  'auth/':          'whether a client may connect: a token that holds, a backend that is asked',
  'auth/jwt/':      'JSON Web Tokens: keys, where they come from, what a token must say',
  'upstream/':      'calls to backends: what all kinds of backends share',
  'upstream/pool/': 'the endpoints of a backend, dialled or attached: resolving, ejection, balancing, which of them a session keeps to',
  'upstream/link/': 'a Link, the stream of frames to a backend, whichever side opened it',
  'upstream/dial-in/': 'backends that connect to the gateway',
  'upstream/grpc-client/': 'connections on grpc-js, their health and what a status means, for all gRPC modes',
  'upstream/grpc/': 'backends that serve `pith.v1.Backend`',
  'upstream/http/': 'backends on HTTP',
  'upstream/ipc/':  'backends on a Unix socket',
  'upstream/method/': 'backends with gRPC methods of their own (`mode: method`)',
  'upstream/nats/': 'backends on NATS; the connection to it',
  'upstream/nats/dial.ts': 'makes that connection with the client library',

  'placement/': 'which gateway new clients should go to, by what gateways tell each other',
  'bus/':     'what backends on NATS ask of sessions; the other gateways',
  'control/': 'the API for operators, on gRPC and on HTTP with JSON; probes',
  'control/attach*': 'where backends dial in',

  'reference/': 'the pages of deploy/reference, from tables and descriptors; pure',
  'explain/':   'where a route would go, and why',
  'discovery/': 'Consul: the addresses of backends, and the gateway as a service',
  'telemetry/': 'log, metrics, traces; OpenTelemetry is loaded only if `telemetry.otlp` is set',

  'client/':       'our own client, for browsers and Node; also a separate package',
  'client/tcp.ts': 'the same over TCP and TLS, in Node alone',

  'web/shell/':      'what the pages of the admin port share: header, themes, form fields, tables, and Control over HTTP',
  'web/playground/': 'the page /playground: our own client in a browser',
  'web/console/':    'the page /console: what the gateways do, for their operators',

  'reload/':    'another configuration while the gateway runs: the backends that it names, and what came of it',
  'wiring/':    'makes the parts as the configuration wants them: functions `make…` and types alone',
  'faults.ts':  'faults that the process survives: counted, and logged at a limited rate',
  'shutdown.ts': 'stops what `gateway.ts` has started, in order and once',
  'gateway.ts': 'builds all parts and starts them in order',
  'cli/':       'the command line: arguments, help, completion, the client, the mock backend, the demo, what `init` writes and `check` prints',
  'signals.ts': 'what the process does when it is sent a signal',
  'workers/':   'several processes that serve as one: their parent, the channel to it, and who gets which connection',
  'serving.ts': 'what every process of `pith serve` has: its log, its gateway, its exit code',
  'serve.ts':   '`pith serve`: one gateway, or a parent and its workers; signals, exit codes',
  'serve-worker.ts': 'one of those workers',
  'main.ts':    'the process: arguments, commands',
};

/** Names that say nothing about what is inside, and so collect everything. */
const FOLDERS_REFUSED = ['utils', 'helpers', 'types', 'constants', 'interfaces', 'common'];

/** One thing that breaks the rules. `file` is relative to the checked folder, `line` counts from 1. */
export interface Problem {
  file: string;
  line: number;
  /** The module as the import names it; absent where the file's own name or place is wrong. */
  import?: string;
  why: string;
}

/** Reads as `session/session.ts:3: imports '../relay/relay.ts': why`, to be clicked in a terminal. */
export function printProblem(problem: Problem): string {
  const what = problem.import === undefined ? '' : ` imports '${problem.import}':`;
  return `${problem.file}:${problem.line}:${what} ${problem.why}`;
}

/**
 * Checks every source file under `root` against `rules`.
 *
 * @returns All problems, in the order of file names and lines; none if the layers hold.
 * @throws {Error} if there is no source file under `root`: a check that looks at nothing must not pass.
 */
export function checkLayers(root: string, rules: Rules = RULES): Problem[] {
  const files = sourceFiles(root);
  if (files.length === 0) throw new Error(`no source files under ${root}`);
  return files.flatMap((file) => [
    ...checkName(file),
    ...checkImports(root, file, rules),
    ...checkMakers(root, file),
  ]);
}

/** The source files under `root`, relative to it, with `/` on every platform, sorted. */
export function sourceFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(?:[cm]?ts|tsx|[cm]?js)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** What puts the parts together holds none itself: no test would reach it. */
function checkMakers(root: string, file: string): Problem[] {
  if (!file.startsWith('wiring/')) return [];
  const why =
    'wiring/ holds functions make… and types alone: move it to the folder that it belongs to';
  return findBehaviour(file, readFileSync(join(root, file), 'utf8')).map(({ line, what }) => ({
    file,
    line,
    why: `${what}: ${why}`,
  }));
}

function checkName(file: string): Problem[] {
  const problems: Problem[] = [];
  if (basename(file).startsWith('index.')) {
    problems.push({ file, line: 1, why: 'no index files: import the file that holds the thing' });
  }
  const folder = dirname(file)
    .split('/')
    .find((name) => FOLDERS_REFUSED.includes(name));
  if (folder !== undefined) {
    problems.push({ file, line: 1, why: `no folder named '${folder}': name it for what it holds` });
  }
  return problems;
}

function checkImports(root: string, file: string, rules: Rules): Problem[] {
  const row = rowOf(file, rules);
  if (row === undefined) {
    return [{ file, line: 1, why: 'no row covers this file: add one to test/support/layers.ts' }];
  }
  const allowed = [...(rules[row] ?? []), ...(FOR_ALL.includes(row) ? [] : FOR_ALL)];
  if (row.endsWith('/')) allowed.push(row);
  /** A folder does not stand for those in it that have a row of their own. */
  const allowedFor = (target: string): string[] => {
    const length = rowOf(target, rules)?.length ?? 0;
    return allowed.filter(
      (item) => !item.endsWith('/') || item.replace('type ', '').length >= length,
    );
  };

  const problems: Problem[] = [];
  for (const found of findImports(file, readFileSync(join(root, file), 'utf8'))) {
    const { line, name, isType } = found;
    const why =
      name === undefined
        ? 'the name is computed, so it cannot be checked: write it out'
        : refusal(resolve(file, name), isType, row, allowedFor);
    if (why !== undefined) problems.push({ file, line, import: name ?? 'import(…)', why });
  }
  return problems;
}

/** Why `row` may not import `target`, or undefined if it may. */
function refusal(
  target: string,
  isType: boolean,
  row: string,
  allowedFor: (target: string) => readonly string[],
): string | undefined {
  const allowed = allowedFor(target);
  if (allowed.some((item) => covers(item, target))) return undefined;
  if (allowed.some((item) => item.startsWith('type ') && covers(item.slice(5), target))) {
    return isType ? undefined : `${row} may import ${target} by 'import type' only`;
  }
  return `${row} may not import ${target}`;
}

/** `../protocol/packet.ts` seen from `session/session.ts` is `protocol/packet.ts`; modules stay as they are. */
function resolve(file: string, name: string): string {
  if (!name.startsWith('.')) return name;
  return posix.normalize(posix.join(posix.dirname(file), name));
}

/** The row that counts for a file: the longest that fits. */
function rowOf(file: string, rules: Rules): string | undefined {
  return Object.keys(rules)
    .filter((name) => covers(name, file))
    .sort((a, b) => b.length - a.length)[0];
}

function covers(item: string, target: string): boolean {
  if (item === '*') return isSource(target) && !ENTRY.some((entry) => covers(entry, target));
  if (item.endsWith('*')) return target.startsWith(item.slice(0, -1));
  if (item.endsWith('/')) return target.startsWith(item);
  return target === item || target.startsWith(`${item}/`);
}

function isSource(target: string): boolean {
  return /\.[cm]?[tj]sx?$/.test(target) && !target.startsWith('../') && !target.startsWith('node:');
}
