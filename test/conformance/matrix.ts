/**
 * The matrix of clients and features: which rows there are, and what each client can do of itself. Every cell that a
 * row does not except is a test (matrix-*.test.ts); the page is made of the same rows.
 */
export const COLUMNS = [
  'request',
  'notify',
  'push',
  'error',
  'kick',
  'heartbeat',
  'dictionary',
  'protobuf',
  'CJK',
  'emoji',
  'TLS',
] as const;
export type Column = (typeof COLUMNS)[number];

export type Dialect = 'pomelo' | 'pitaya' | 'nano' | 'json';

/** Marks the tests that are cells, for the report at the end of a run. */
export type Cell = { readonly row: string; readonly column: Column };

declare module 'vitest' {
  interface TaskMeta {
    cell?: Cell;
  }
}

export type Row = {
  readonly id: string;
  /** As the page names it, with its version. */
  readonly client: string;
  /** What runs it here; `double`: it is modelled byte for byte. */
  readonly runs: 'Chromium' | 'Node' | 'Go' | 'double';
  readonly dialect: Dialect;
  readonly transport: 'WebSocket' | 'TCP';
  /** What the client itself cannot do, and why; these have no test. */
  readonly lacks: Partial<Record<Column, string>>;
  /** What is peculiar about a feature that works. */
  readonly notes: Partial<Record<Column, string>>;
  /** What its messages carry where the gateway has a dictionary; default: codes both ways. */
  readonly codes?: { readonly sends: boolean; readonly gets: boolean };
  /** What is protobuf where the gateway has protos; default: everything. */
  readonly protobuf?: {
    readonly sends: boolean;
    readonly answers: boolean;
    readonly gets: boolean;
  };
  /** A kick's body reaches the application. Default true. */
  readonly hearsWhy?: boolean;
};

const WS_ONLY = 'It connects by ws:// only.';
const TCP_ONLY = 'It has no TLS.';
const OWN_BODIES = 'In this dialect protobuf is up to the application: bodies pass unchanged.';
const READS_CODES = 'It reads codes, but writes routes as text.';
const NANO_ERRORS = 'Nano leaves failed requests unanswered, unless `answer_errors` is set.';
const NANO_KICK = 'Nano has no kick: the connection is closed.';
const SILENT_KICK = 'The application learns of the kick, but not of the reason.';
const PITAYA_CODES =
  'It writes codes. Pushes have their routes as text, because a code would crash libpitaya.';
const NO_CODES = 'It supports none, and gets none.';

const noTls = { TLS: WS_ONLY };
const everything = { lacks: {}, notes: {} };

const POMELO: readonly Row[] = [
  {
    id: 'jsclient',
    client: 'pomelo-jsclient-websocket 0.1.1',
    runs: 'Chromium',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: noTls,
    notes: {
      protobuf: 'With `decodeStr`, which it calls but its browser library lacks, set to `decode`.',
    },
  },
  {
    id: 'cocos2d-js',
    client: 'pomelo-cocos2d-js 0.1.4',
    runs: 'Chromium',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: noTls,
    notes: {
      protobuf: 'It corrupts characters beyond U+1FFFF, which no emoji is.',
    },
  },
  {
    id: 'nodejsclient',
    client: 'pomelo-nodejsclient-websocket 0.0.2',
    runs: 'Node',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: noTls,
    notes: { dictionary: READS_CODES, kick: SILENT_KICK },
    codes: { sends: false, gets: true },
    hearsWhy: false,
  },
  {
    id: 'client-websocket',
    client: 'pomelo-client-websocket 1.0.13',
    runs: 'Node',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: noTls,
    notes: { dictionary: READS_CODES, kick: SILENT_KICK },
    codes: { sends: false, gets: true },
    hearsWhy: false,
  },
  {
    id: 'legacy-bundle',
    client: "the bundle in pomelo 2.2.7's web template",
    runs: 'Chromium',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: noTls,
    notes: { dictionary: READS_CODES, kick: SILENT_KICK },
    codes: { sends: false, gets: true },
    hearsWhy: false,
  },
  {
    id: 'legacy-double',
    client: "the bundle in pomelo 2.2.7's web template",
    runs: 'double',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: noTls,
    notes: { dictionary: READS_CODES, kick: SILENT_KICK },
    codes: { sends: false, gets: true },
    hearsWhy: false,
  },
  {
    id: 'weixin',
    client: 'pomelo-weixin-client 1.10',
    runs: 'double',
    dialect: 'pomelo',
    transport: 'WebSocket',
    lacks: {},
    notes: { dictionary: NO_CODES, protobuf: 'It supports none, and gets JSON.' },
    codes: { sends: false, gets: false },
    protobuf: { sends: false, answers: false, gets: false },
  },
  {
    id: 'libpomelo',
    client: 'libpomelo 0.3.4',
    runs: 'double',
    dialect: 'pomelo',
    transport: 'TCP',
    lacks: { TLS: TCP_ONLY },
    notes: { kick: SILENT_KICK },
    hearsWhy: false,
  },
  {
    id: 'libpomelo2',
    client: 'libpomelo2 0.3.5',
    runs: 'double',
    dialect: 'pomelo',
    transport: 'TCP',
    lacks: {},
    notes: {
      protobuf: 'It gets answers in JSON, because it can read no others.',
      kick: SILENT_KICK,
    },
    protobuf: { sends: true, answers: false, gets: true },
    hearsWhy: false,
  },
  {
    id: 'unity',
    client: 'pomelo-unityclient-socket 0.3.0 (C#)',
    runs: 'double',
    dialect: 'pomelo',
    transport: 'TCP',
    lacks: { TLS: TCP_ONLY },
    notes: { kick: SILENT_KICK },
    hearsWhy: false,
  },
  {
    id: 'ours-pomelo-ws',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'pomelo',
    transport: 'WebSocket',
    ...everything,
  },
  {
    id: 'ours-pomelo-tcp',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'pomelo',
    transport: 'TCP',
    ...everything,
  },
];

const pitaya = { lacks: { protobuf: OWN_BODIES }, notes: { dictionary: PITAYA_CODES } };
const pitayaCodes = { sends: true, gets: false };

const PITAYA: readonly Row[] = [
  {
    id: 'pitaya-go-tcp',
    client: "Pitaya's Go client 3.0.0-beta.6",
    runs: 'Go',
    dialect: 'pitaya',
    transport: 'TCP',
    ...pitaya,
    notes: { ...pitaya.notes, kick: 'It closes the connection without notifying the application.' },
    codes: pitayaCodes,
    hearsWhy: false,
  },
  {
    id: 'pitaya-go-ws',
    client: "Pitaya's Go client 3.0.0-beta.6",
    runs: 'Go',
    dialect: 'pitaya',
    transport: 'WebSocket',
    ...pitaya,
    notes: { ...pitaya.notes, kick: 'It closes the connection without notifying the application.' },
    codes: pitayaCodes,
    hearsWhy: false,
  },
  {
    id: 'libpitaya',
    client: 'libpitaya 4.6',
    runs: 'double',
    dialect: 'pitaya',
    transport: 'TCP',
    lacks: pitaya.lacks,
    notes: { dictionary: NO_CODES, kick: SILENT_KICK },
    codes: { sends: false, gets: false },
    hearsWhy: false,
  },
  {
    id: 'ours-pitaya-ws',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'pitaya',
    transport: 'WebSocket',
    ...pitaya,
    codes: pitayaCodes,
    hearsWhy: false,
  },
  {
    id: 'ours-pitaya-tcp',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'pitaya',
    transport: 'TCP',
    ...pitaya,
    codes: pitayaCodes,
    hearsWhy: false,
  },
];

const nano = { protobuf: OWN_BODIES, error: NANO_ERRORS, kick: NANO_KICK };
const nanoCodes = { sends: true, gets: false };
const nanoNotes = {
  dictionary: 'It writes codes. Pushes have their routes as text.',
};

const OTHERS: readonly Row[] = [
  {
    id: 'starx',
    client: 'starx-wsclient of nano 0.5.0',
    runs: 'Chromium',
    dialect: 'nano',
    transport: 'WebSocket',
    lacks: { ...nano, ...noTls },
    notes: nanoNotes,
    codes: nanoCodes,
  },
  {
    id: 'ours-nano-ws',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'nano',
    transport: 'WebSocket',
    lacks: nano,
    notes: nanoNotes,
    codes: nanoCodes,
  },
  {
    id: 'ours-nano-tcp',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'nano',
    transport: 'TCP',
    lacks: nano,
    notes: nanoNotes,
    codes: nanoCodes,
  },
  {
    id: 'ours-json-ws',
    client: 'pith/client',
    runs: 'Node',
    dialect: 'json',
    transport: 'WebSocket',
    lacks: {
      dictionary: 'Routes are text in this dialect.',
      protobuf: 'Bodies are JSON in this dialect.',
    },
    notes: { heartbeat: 'By the pings and pongs of WebSocket.' },
  },
];

export const ROWS: readonly Row[] = [...POMELO, ...PITAYA, ...OTHERS];

/** Clients that were looked at and are no rows. */
export const LEFT_OUT: readonly { readonly client: string; readonly why: string }[] = [
  {
    client: 'pomelo-creator 1.3.7',
    why: 'its encoder throws if the server has no dictionary, and sends no body if it has one',
  },
  {
    client: 'the socket.io clients',
    why: 'a different protocol, which Pith does not speak',
  },
];

export function rowOf(id: string): Row {
  const found = ROWS.find((row) => row.id === id);
  if (found === undefined) throw new Error(`no row ${id}`);
  return found;
}
