/** `pith top`: the sessions of the fleet that are worst off, by one measure. */
import type { Clock } from '../clock.ts';
import { answerOf, failureOf, type Refused } from './admin-call.ts';
import { type AdminPort, type AskIo, withTokenOf } from './admin-options.ts';
import type { TopBy } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import type { Printed } from './inspect.ts';

export type AskedTop = {
  readonly by: TopBy;
  /** How many are shown. */
  readonly count: number;
  readonly admin: AdminPort;
  readonly json: boolean;
};

/** Sessions in one answer. */
const PAGE = 1_000;
/** Pages that are read: a million sessions. */
const PAGES_MAX = 1_000;

type Fields = Readonly<Record<string, unknown>>;
type Row = { readonly session: Fields; readonly stats: Fields; readonly value: number };
type Found = { rows: Row[]; sessions: number; silent: Set<string> };

export async function showTop(asked: AskedTop, { env, clock }: AskIo): Promise<Printed> {
  const admin = withTokenOf(asked.admin, env);
  const found = await worst({ ...asked, admin }, clock);
  if ('why' in found) {
    const code = found.isThere ? EXIT.NO : EXIT.UNAVAILABLE;
    return { code, out: '', err: `pith: ${found.why}\n` };
  }
  const { rows, sessions, silent } = found;
  const err = [...silent].map((one) => `note: ${one} did not answer: its sessions are missing\n`);
  const out = asked.json
    ? `${JSON.stringify({ by: asked.by, sessions, worst: rows.map(jsonOf), silentGateways: [...silent] })}\n`
    : tableOf(rows, sessions, asked.by);
  return { code: EXIT.OK, out, err: err.join('') };
}

/** Of all sessions those with the most; one without any is not among them. */
async function worst({ by, count, admin }: AskedTop, clock: Clock): Promise<Found | Refused> {
  const found: Found = { rows: [], sessions: 0, silent: new Set() };
  let pageToken = '';
  for (let page = 0; page < PAGES_MAX; page++) {
    const request = { target: { all: true }, limit: PAGE, page_token: pageToken, stats: true };
    const lines = await pageOf(admin, request, clock);
    if ('why' in lines) return lines;
    const all = lines.filter(({ sid }) => typeof sid === 'string' && sid !== '');
    // The last line says what is missing.
    const rest = (lines.at(-1)?.['rest'] ?? {}) as Fields;
    const { next_page_token: next, silent_gateways: silent } = rest;
    for (const one of listOf(silent)) found.silent.add(cell(one));
    found.sessions += all.length;
    found.rows.push(...all.map((session) => rowOf(session, by)).filter(({ value }) => value > 0));
    found.rows.sort((a, b) => b.value - a.value).splice(count);
    if (typeof next !== 'string' || next === '') break;
    pageToken = next;
  }
  return found;
}

/** A session a line. Never rejects. */
async function pageOf(
  admin: AdminPort,
  request: object,
  clock: Clock,
): Promise<Fields[] | Refused> {
  try {
    const response = await answerOf(admin, 'ListSessions', request, clock);
    if ('why' in response) return response;
    const lines = (await response.text()).split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Fields);
  } catch (error) {
    return failureOf(admin, error);
  }
}

function rowOf(session: Fields, by: TopBy): Row {
  const stats = (session['stats'] ?? {}) as Fields;
  return { session, stats, value: MEASURES[by](stats) };
}

const MEASURES: Readonly<Record<TopBy, (stats: Fields) => number>> = {
  outbox: (stats) => Number(stats['outbox_bytes'] ?? 0),
  'outbox-age': (stats) => msOf(stats['outbox_age']),
  'round-trip': (stats) => msOf(stats['round_trip']),
  reconnects: (stats) => Number(stats['reconnects'] ?? 0),
  silence: (stats) => msOf(stats['silent_for']),
};

/** `"1.5s"` in milliseconds. */
function msOf(duration: unknown): number {
  return typeof duration === 'string' ? Number.parseFloat(duration) * 1_000 : 0;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function jsonOf({ session, stats }: Row): object {
  const { sid, uid, gateway, remote_ip: remoteIp } = session;
  return { sid, uid, gateway, remoteIp, ...stats };
}

const HEAD = ['SID', 'UID', 'ADDRESS', 'OUTBOX', 'AGE', 'ROUND TRIP', 'RECONNECTS', 'SILENT'];
/** Characters of a uid or an address. */
const CELL_CHARS_MAX = 40;

function tableOf(rows: readonly Row[], sessions: number, by: TopBy): string {
  if (rows.length === 0) return `none of ${sessions} sessions has any ${by.replace('-', ' ')}\n`;
  const cells = rows.map(({ session, stats }) => [
    cell(session['sid']),
    cell(session['uid']) || '-',
    cell(session['remote_ip']),
    `${cell(stats['outbox_bytes']) || '0'} B`,
    durationText(stats['outbox_age']),
    durationText(stats['round_trip']),
    cell(stats['reconnects']) || '-',
    durationText(stats['silent_for']),
  ]);
  const all = [HEAD, ...cells];
  const widths = HEAD.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  const lines = all.map((row) =>
    row
      .map((text, i) => text.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\nthe worst ${rows.length} of ${sessions} sessions by ${by.replace('-', ' ')}\n`;
}

/** `"0.007260576s"` as `7 ms`, `"25.754205359s"` as `25.8 s`. */
function durationText(duration: unknown): string {
  if (typeof duration !== 'string') return '-';
  const ms = msOf(duration);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 600_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}

/** Without what would move the cursor: it may be a client's word. */
function cell(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?').slice(0, CELL_CHARS_MAX);
}
