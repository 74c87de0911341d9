// The tables that are the contract: where they stand in src/, their rows, and what can be wrong with a row.

/** One table, or a list of constants of one file. */
export type Table = {
  readonly file: string;
  /** Text right before the table: what is in the first bracket after it, and after ` = ` if there is one. */
  readonly at?: string;
  /** At which depth of brackets its rows are; 1. */
  readonly depth?: number;
  /** False: texts of several words are advice for people, and may be put in other words. */
  readonly sentences?: boolean;
  /** `const NAME = …;`, each a row with numbers. */
  readonly constants?: readonly string[];
};

// oxfmt-ignore
export const TABLES: readonly Table[] = [
  { file: 'src/session/state.ts', at: 'const ACTIONS', depth: 2 },
  { file: 'src/session/state.ts', at: 'function working(): Readonly<Record<number, Action>> {\n  return ' },
  { file: 'src/session/state.ts', at: 'const NEXT' },
  { file: 'src/session/close-reason.ts', at: 'const CLOSE_REASONS' },
  { file: 'src/session/close-reason.ts', constants: ['WORDS_MAX'] },
  { file: 'src/session/unreadable.ts', constants: ['MALFORMED_MAX'] },
  { file: 'src/session/changes.ts', constants: ['NAME_BYTES_MAX'] },
  { file: 'src/errors.ts', at: 'const GRPC' },
  { file: 'src/errors.ts', at: 'const REASONS' },
  { file: 'src/errors.ts', at: 'const REASON_OF_CODE' },
  { file: 'src/dialect/pomelo.ts', at: 'readonly traits: DialectTraits' },
  { file: 'src/dialect/go-dialect.ts', at: 'readonly traits: DialectTraits' },
  { file: 'src/dialect/pitaya.ts', constants: ['COMPRESS_BYTES_MIN', 'OWN_CODE_BYTES_MAX'] },
  { file: 'src/dialect/nano.ts', constants: ['PACKET_BYTES_MAX'] },
  { file: 'src/dialect/json.ts', at: 'readonly traits: DialectTraits' },
  { file: 'src/dialect/client-profile.ts', at: 'const PROFILES' },
  { file: 'src/protocol/packet.ts', at: 'const PacketType' },
  { file: 'src/protocol/packet.ts', constants: ['PACKET_BODY_BYTES_MAX'] },
  { file: 'src/session/unreadable.ts', at: 'const UNREADABLE' },
  { file: 'src/contract/refusal.ts', at: 'const TEXTS' },
  { file: 'src/contract/refusal.ts', constants: ['RETRY_AFTER_MS_MAX', 'TEXT_CHARACTERS_MAX', 'REASON_CHARACTERS_MAX', 'FIELDS_MAX', 'PARSED_BYTES_MAX', 'CODE_OTHERWISE'] },
  { file: 'src/contract/json.ts', constants: ['JSON_DEPTH_MAX', 'JSON_DEPTH_MAX_TO_BACKENDS'] },
  { file: 'src/contract/commands.ts', at: 'const DELIVERIES' },
  { file: 'src/contract/pub-ack.ts', at: 'const MEMBERS' },
  { file: 'src/upstream/http/status.ts', at: 'const SAME' },
  { file: 'src/upstream/http/status.ts', at: 'const CODE_OF_STATUS' },
  { file: 'src/upstream/http/answer-headers.ts', at: 'const KNOWN' },
  { file: 'src/upstream/http/closed-events.ts', at: 'const NOT_SERVED' },
  { file: 'src/upstream/http/closed-events.ts', constants: ['CLOSED_PAUSE_MS', 'CLOSED_IN_FLIGHT_MAX'] },
  { file: 'src/upstream/http/http-upstream.ts', constants: ['HTTP_CONNECTIONS_MAX', 'IDLE_MS', 'CONNECTION_MS'] },
  { file: 'src/upstream/grpc-client/status.ts', at: 'const REASON_OF_STATUS' },
  { file: 'src/upstream/link/receive-window.ts', constants: ['WINDOW_FRAMES', 'WINDOW_BYTES', 'ASKED_MAX'] },
  { file: 'src/upstream/pool/ejection.ts', constants: ['FAILURES_MAX', 'EJECTED_MS_MIN', 'EJECTED_MS_MAX'] },
  { file: 'src/upstream/link/link.ts', constants: ['LINK_ID_MAX', 'LINK_UNSENT_BYTES_MAX', 'LINK_UNSENT_BYTES_END'] },
  { file: 'src/upstream/link/link.ts', constants: ['EXTEND_MS_MAX'] },
  { file: 'src/upstream/pool/rebalance.ts', constants: ['MOVES_PER_SECOND'] },
  { file: 'src/upstream/pool/resolver.ts', constants: ['RESOLVE_EVERY_MS', 'RESOLVE_SOON_MS'] },
  { file: 'src/discovery/agent.ts', constants: ['AGAIN_MS_MIN', 'AGAIN_MS_MAX'] },
  { file: 'src/upstream/reconnect.ts', constants: ['RETRY_MS_MIN', 'RETRY_MS_MAX'] },
  { file: 'src/upstream/http/exchange.ts', constants: ['INTERIMS_MAX'] },
  { file: 'src/upstream/ipc/line-socket.ts', constants: ['LINES_PER_TURN'] },
  { file: 'src/upstream/method/descriptors.ts', constants: ['SCHEMA_BYTES_MAX', 'SCHEMA_FILES_MAX'] },
  { file: 'src/upstream/method/json-fields.ts', constants: ['FIELD_ERRORS_MAX'] },
  { file: 'src/upstream/method/schema-keeper.ts', constants: ['LOOK_EVERY_MS', 'REFLECT_EVERY_MS'] },
  { file: 'src/transport/http-refusal.ts', constants: ['HTTP_HEAD_BYTES_MAX'] },
  { file: 'src/telemetry/log.ts', constants: ['LOG_UNREAD_BYTES_MAX'] },
  { file: 'src/bus/fleet-commands.ts', constants: ['FLEET_WAIT_MS'] },
  { file: 'src/upstream/link/link.ts', at: 'const FEATURES' },
  { file: 'src/upstream/grpc-client/grpc-connection.ts', constants: ['RECEIVE_BYTES_MAX'] },
  { file: 'src/upstream/grpc/dialled-link.ts', constants: ['LINK'] },
  { file: 'src/upstream/grpc/unary-calls.ts', constants: ['HANDLE', 'CONNECT', 'CLOSED'] },
  { file: 'src/upstream/grpc-client/health-watch.ts', constants: ['WATCH'] },
  { file: 'src/upstream/method/status-details.ts', at: 'const SPOKEN' },
  { file: 'src/upstream/method/status-details.ts', at: 'const BEFALLEN' },
  { file: 'src/upstream/nats/subjects.ts', constants: ['SUBJECT_BYTES_MAX', 'TOKEN_PLAIN', 'TOKEN_RAW_BYTES_MAX'] },
  { file: 'src/upstream/nats/subjects.ts', at: 'get nearMisses' },
  { file: 'src/upstream/nats/subjects.ts', at: 'get notForStreams' },
  { file: 'src/upstream/nats/header-block.ts', constants: ['HEADER_LINES_MAX', 'HEADER_BYTES_MAX'] },
  { file: 'src/upstream/nats/nats-connector.ts', constants: ['NATS_UNSENT_BYTES_MAX'] },
  { file: 'src/upstream/ipc/ipc-upstream.ts', constants: ['IPC_LEAVING_MAX'] },
  { file: 'src/upstream/ipc/ipc-connection.ts', constants: ['IPC_UNSENT_BYTES_MAX', 'IPC_SKIP_BYTES_MAX', 'SEQ_ID_MAX'] },
  { file: 'src/upstream/nats/unserved.ts', constants: ['UNSERVED_MAX', 'SERVED_ROUTES_MAX'] },
  { file: 'src/upstream/ipc/hold.ts', constants: ['IPC_HOLD_MS', 'IPC_HOLD_BYTES_MAX', 'IPC_HOLD_EVENTS_MAX'] },
  { file: 'src/upstream/ipc/line-reader.ts', constants: ['IPC_LINE_BYTES_MAX', 'IPC_BAD_LINES_MAX'] },
  { file: 'src/upstream/ipc/json-text.ts', constants: ['PAYLOAD_DEPTH_MAX'] },
  { file: 'src/upstream/ipc/backend-lines.ts', at: 'const COMMANDS' },
  { file: 'src/upstream/ipc/backend-lines.ts', at: 'const OF_ANSWER' },
  { file: 'src/routing/route.ts', constants: ['SEGMENT_BYTES_MAX', 'RENAMED_BYTES_MAX'] },
  { file: 'src/protocol/message.ts', at: 'const MessageKind' },
  { file: 'src/protocol/message.ts', constants: ['FLAG_ROUTE_CODE', 'FLAG_COMPRESSED', 'FLAG_ERROR', 'ID_BYTES_MAX', 'ROUTE_BYTES_MAX'] },
  { file: 'src/upstream/dial-in/dial-in-upstream.ts', constants: ['ATTACHED_MAX'] },
  { file: 'src/upstream/dial-in/attach-stream.ts', constants: ['ATTACH_MESSAGE_BYTES_MAX'] },
  { file: 'src/control/attach.ts', constants: ['HELLO_WAIT_MS', 'NEWCOMERS_MAX'] },
  { file: 'src/control/attach-grpc.ts', at: 'const STATUS_OF_ENDING' },
  { file: 'src/control/attach-websocket.ts', at: 'const CLOSE_CODE_OF_ENDING' },
  { file: 'src/control/attach-websocket.ts', constants: ['CLOSE_NORMAL', 'CLOSE_GOING', 'CLOSE_POLICY', 'CLOSE_BROKEN', 'CLOSE_LATER'] },
  { file: 'src/control/json-api.ts', constants: ['API_BODY_BYTES_MAX', 'API_REQUESTS_MAX'] },
  { file: 'src/control/fleet-methods.ts', constants: ['LIST_LIMIT', 'LIST_LIMIT_MAX'] },
  { file: 'src/control/push-many.ts', constants: ['PUSH_WAIT_MS_MAX', 'PUSHES_WAITING_MAX'] },
  { file: 'src/control/gateway-methods.ts', constants: ['CALL_MS_MAX'] },
  { file: 'src/control/requests.ts', at: 'const FIELDS' },
  { file: 'src/bus/session-verbs.ts', at: 'const EVERYWHERE' },
  { file: 'src/bus/session-verbs.ts', at: 'const VERBS' },
  { file: 'src/contract/protobuf-shapes.ts', constants: ['PUSHES_MAX'] },
  { file: 'src/bus/session-pages.ts', constants: ['PAGE_MAX'] },
  { file: 'src/bus/replies.ts', constants: ['REPLY_BYTES_MAX', 'ERROR_TEXT_MAX'] },
  { file: 'src/bus/session-commands.ts', constants: ['PUSH_ROUTE_BYTES_MAX'] },
  { file: 'src/bus/presence.ts', constants: ['PRESENCE_UIDS_MAX', 'PRESENCE_NAMED_MAX'] },
  { file: 'src/bus/group-pages.ts', constants: ['GROUPS_PAGE_MAX'] },
  { file: 'src/relay/retries.ts', at: 'const AGAIN' },
  { file: 'src/relay/retries.ts', constants: ['RETRIES_MAX', 'BACKOFF_MS', 'BUDGET_SHARE', 'BUDGET_MAX'] },
  { file: 'src/relay/breaker.ts', at: 'const FAULTS' },
  { file: 'src/transport/refused.ts', at: 'const REFUSALS', sentences: false },
  { file: 'src/telemetry/instruments.ts', constants: ['SECONDS', 'SESSIONS'] },
  { file: 'src/telemetry/instruments.ts', at: 'const INSTRUMENTS', sentences: false },
];

/** A place in a file's text. */
type Span = { readonly start: number; readonly end: number };

export type Row = Span & {
  readonly table: Table;
  readonly text: string;
  readonly others: readonly Span[];
};

/** One row with something wrong, as the whole file's text. */
export type Mutant = {
  readonly file: string;
  readonly line: number;
  /** What was done to the row: left out, a number changed, or a word of some kind. */
  readonly kind: string;
  /** For people. */
  readonly what: string;
  readonly text: string;
};

/** @throws {Error} When the file has no such table any more: the list above is to be mended. */
export function rowsOf(table: Table, text: string): Row[] {
  const spans =
    table.constants?.map((name) => constant(table, name, text)) ?? bracketed(table, text);
  return spans.map((span) => ({ ...span, table, text, others: spans }));
}

function constant({ file }: Table, name: string, text: string): Span {
  const found = new RegExp(`^(?:export )?const ${name}(?::[^=]*)? = ([^;]*);`, 'm').exec(text);
  if (found === null) throw new Error(`${file} has no constant ${name}`);
  const start = found.index + found[0].length - found[1]!.length - 1;
  return { start, end: start + found[1]!.length };
}

/** Strings and comments whole, and single characters. */
const TOKEN = /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|[^]/g;

/** What stands between commas at the table's depth. */
function bracketed({ file, at = '', depth: wanted = 1 }: Table, text: string): Span[] {
  const found = text.indexOf(at);
  if (found < 0 || text.indexOf(at, found + 1) >= 0)
    throw new Error(`${file} has "${at}" not just once`);
  const equals = at.startsWith('function') ? -1 : text.indexOf(' = ', found);
  const from = Math.max(found + at.length, equals);
  const spans: Span[] = [];
  let depth = 0;
  let start = -1;
  const close = (end: number): void => {
    if (start >= 0) spans.push({ start, end });
    start = -1;
  };
  TOKEN.lastIndex = from;
  for (let token = TOKEN.exec(text); token !== null; token = TOKEN.exec(text)) {
    const [what] = token;
    if (depth === 0 && !'{['.includes(what)) continue;
    if (what === ',' && depth === wanted) close(token.index);
    if ('}])'.includes(what) && depth-- === wanted) close(token.index);
    if (depth >= wanted && start < 0 && !/^(?:\s|,|\/[/*])/.test(what)) start = token.index;
    if ('{[('.includes(what)) depth++;
    if (depth === 0) break;
  }
  if (spans.length === 0) throw new Error(`${file}: no rows after "${at}"`);
  return spans;
}

/** What may be replaced, by kinds that replace each other. Comments and helps are not among them. */
const KINDS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['upper', /'[A-Z_0-9]+'/g],
  ['word', /'[a-z][\w.*>-]*'/g],
  // The first quote after one that closes would begin a string that is none.
  ['sentence', /(?<=(?:^|[(,[:])\s*)'[^'\n]* [^'\n]*'/g],
  ['member', /(?<=\b(?:status|PacketType)\.)[A-Z_]+/g],
  ['name', /^[A-Za-z_]\w*(?=:)/g],
  ['truth', /\b(?:true|false)\b/g],
  ['maker', /\b(?:counter|gauge)\b(?=\()/g],
  ['scopes', /\b(?:EVERYWHERE|ONE)\b/g],
  ['close', /\bCLOSE_[A-Z]+\b/g],
  ['path', /'\/[\w./]+'/g],
  ['number', /(?<![\w'.*#])(?:0x[0-9a-f_]+|\d[\d_]*(?:\.\d+)?)(?![\w'])/g],
];

/** Every single thing that can be wrong with a row. */
export function mutationsOf(row: Row): Mutant[] {
  const { text, table, start, end, others } = row;
  const own = text.slice(start, end);
  const mutants: Mutant[] = [];
  const add = (kind: string, at: number, from: string, to: string): void => {
    const changed = own.slice(0, at - start) + to + own.slice(at - start + from.length);
    mutants.push({
      file: table.file,
      kind,
      line: text.slice(0, at).split('\n').length,
      what: `${short(own)} → ${short(changed) || 'nothing'}`,
      text: text.slice(0, at) + to + text.slice(at + from.length),
    });
  };
  if (table.constants === undefined) {
    const rest = /^\s*,/.exec(text.slice(end))?.[0] ?? '';
    add('left out', start, own + rest, '');
  }
  for (const [kind, pattern] of KINDS) {
    if (kind === 'sentence' && table.sentences === false) continue;
    const pool = new Set(
      others.flatMap((span) => text.slice(span.start, span.end).match(pattern) ?? []),
    );
    if (kind === 'path') pool.add("'/another/path'");
    if (kind === 'truth') for (const word of ['true', 'false']) pool.add(word);
    if (kind === 'maker') for (const word of ['counter', 'gauge']) pool.add(word);
    for (const { 0: from, index } of (kind === 'number' ? blank(own) : own).matchAll(pattern)) {
      const wrong = kind === 'number' ? wrongNumbers(from) : pool;
      for (const to of wrong) if (to !== from) add(kind, start + index, from, to);
    }
  }
  return mutants;
}

/** On one line, and not too much. */
function short(text: string): string {
  const line = text.replace(/\s+/g, ' ').replace(/^,$/, '');
  return line.length > 90 ? `${line.slice(0, 45)} … ${line.slice(-45)}` : line;
}

/** Without its strings: a number in one is a part of its words. */
function blank(text: string): string {
  return text.replace(/'[^'\n]*'|"[^"\n]*"/g, (string) => ' '.repeat(string.length));
}

function wrongNumbers(text: string): string[] {
  const number = Number(text.replaceAll('_', ''));
  return Number.isInteger(number) ? [number * 10, number + 1].map(String) : [String(number * 10)];
}
