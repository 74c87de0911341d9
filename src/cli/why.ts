/** `pith why`: why a request failed, or a session ended, as the fleet or a log knows it. */
import type { Clock } from '../clock.ts';
import { errorText, fileErrorText } from '../errors.ts';
import { adviceOn } from '../failures/advice.ts';
import { type FailureRecord, recordOf } from '../failures/failure-record.ts';
import { parseRef } from '../ref.ts';
import { askAdmin } from './admin-call.ts';
import { type AdminPort, type AskIo, withTokenOf } from './admin-options.ts';
import { EXIT } from './exit-codes.ts';
import type { Printed } from './inspect.ts';
import { whyInLog } from './why-log.ts';

export type AskedWhy = {
  /** A ref, a sid or a uid. */
  readonly about: string;
  readonly admin: AdminPort;
  /** Read instead; '': the fleet is asked. */
  readonly log: string;
  readonly json: boolean;
};

type Known = {
  readonly failures: readonly FailureRecord[];
  readonly openSids: readonly string[];
  /** What is missing, or where else to look. */
  readonly notes: readonly string[];
};

export async function explainWhy(asked: AskedWhy, { env, clock }: AskIo): Promise<Printed> {
  const known =
    asked.log === ''
      ? await ofTheFleet({ ...asked, admin: withTokenOf(asked.admin, env) }, clock)
      : await ofLog(asked);
  if ('code' in known) return known;
  const { failures, openSids, notes } = known;
  const code = failures.length === 0 && openSids.length === 0 ? EXIT.NO : EXIT.OK;
  if (asked.json) {
    const out = {
      about: asked.about,
      failures: failures.map((record) => ({ ...record, advice: adviceOn(record) })),
      openSids,
      notes,
    };
    return { code, out: `${JSON.stringify(out)}\n`, err: '' };
  }
  const parts = [
    ...failures.map((record) => recordText(record, clock.wallNow())),
    ...openSids.map(
      (sid) => `${sid} is open${failures.length === 0 ? ': nothing of it has failed' : ''}\n`,
    ),
    ...(code === EXIT.NO ? [`nothing is known of ${asked.about}\n`] : []),
  ];
  return { code, out: parts.join('\n'), err: notes.map((note) => `note: ${note}\n`).join('') };
}

async function ofTheFleet({ about, admin }: AskedWhy, clock: Clock): Promise<Known | Printed> {
  const answer = await askAdmin(admin, 'Why', { about }, clock);
  if (!answer.ok) {
    const hint = answer.isThere ? '' : '\nif the gateway is gone, --log FILE reads its log instead';
    const code = answer.isThere ? EXIT.NO : EXIT.UNAVAILABLE;
    return { code, out: '', err: `pith: ${answer.why}${hint}\n` };
  }
  const { failures, open_sids: open, silent_gateways: silent } = answer.body;
  const found = listOf(failures)
    .map(recordOfAnswer)
    .filter((record) => record !== null);
  const openSids = listOf(open).map(String);
  const notes = listOf(silent).map(
    (gateway) => `${String(gateway)} did not answer: what it knows is missing`,
  );
  if (found.length === 0 && openSids.length === 0)
    notes.push(
      'a gateway keeps the last eight failures of a session, 4,096 in all, until it ends: its log has more, see --log FILE',
    );
  return { failures: found, openSids, notes };
}

async function ofLog({ about, log }: AskedWhy): Promise<Known | Printed> {
  try {
    const { failures, lines } = await whyInLog(log, about);
    const sid = parseRef(about)?.sid;
    const notes = [];
    if (lines === 0)
      notes.push(`${log} has no line of JSON: it must be written with log.format: json`);
    else if (failures.length === 0)
      notes.push(
        'of failures of one kind five are logged in ten seconds, and all with log.level: debug' +
          (sid === undefined
            ? ''
            : `; pith why ${sid} --log ${log} shows what there is of the session`),
      );
    return { failures, openSids: [], notes };
  } catch (error) {
    const why = fileErrorText(error) || errorText(error);
    return { code: EXIT.USAGE, out: '', err: `pith: --log ${log}: ${why}\n` };
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A FailureRecord of the contract, in JSON. */
function recordOfAnswer(value: unknown): FailureRecord | null {
  const fields = value as Readonly<Record<string, unknown>>;
  return recordOf({
    ...fields,
    at: Date.parse(String(fields['at'])),
    remoteIp: fields['remote_ip'],
    waitedMs: msOf(fields['waited']),
    tookMs: msOf(fields['took']),
  });
}

/** `"1.5s"` */
function msOf(duration: unknown): number {
  return typeof duration === 'string' ? Number.parseFloat(duration) * 1_000 : 0;
}

function recordText(record: FailureRecord, now: number): string {
  const { ref, what, route, uid, remoteIp, rule, backend, address } = record;
  const title = what === 'session' ? `the end of ${parseRef(ref)!.sid}` : TITLES[what] + route;
  const from = [
    uid === '' ? 'no uid' : `uid ${uid}`,
    ...(remoteIp === '' ? [] : [`from ${remoteIp}`]),
  ];
  const way = [
    ...(rule === '' ? [] : [`rule ${rule}`]),
    ...(backend === '' ? [] : [`backend ${backend}`]),
    ...(address === '' ? [] : [address]),
  ];
  const rows: [string, string][] = [
    [
      'when',
      `${new Date(record.at).toISOString()}, ${durationText(Math.max(0, now - record.at))} ago`,
    ],
    ['who', from.join(' ')],
    ['way', way.join(' → ')],
    ['took', tookText(record)],
    ['told', toldText(record)],
    ['cause', record.cause],
    ['by', byText(record)],
    ['do', adviceOn(record)],
  ];
  const lines = rows
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `  ${name.padEnd(6)}${text}\n`);
  return `${ref}  ${title}: ${record.reason}\n${lines.join('')}`;
}

function tookText({ what, tookMs, waitedMs, retries }: FailureRecord): string {
  if (what === 'session') return `open for ${durationText(tookMs)}`;
  const parts = [
    ...(tookMs > 0 ? [durationText(tookMs)] : []),
    ...(waitedMs > 0 ? [`${durationText(waitedMs)} of it in the queue of its session`] : []),
    ...(retries > 0 ? [`sent again ${retries === 1 ? 'once' : `${retries} times`}`] : []),
  ];
  return parts.join(', ');
}

function toldText({ what, code, reason, message }: FailureRecord): string {
  if (what === 'notify' || what === 'dropped') return 'nothing';
  if (what === 'session') return [...(code === 0 ? [] : [String(code)]), message].join(' ').trim();
  return `${code === 0 ? '' : `${code} `}${reason}${message === '' ? '' : `: ${message}`}`;
}

const TITLES = {
  request: 'request ',
  notify: 'notify ',
  dropped: 'a message was dropped',
} as const;

const BY_TEXT = {
  gateway: 'the gateway',
  backend: 'the backend',
  client: 'the client',
  operator: 'an operator',
  network: 'nobody: the network',
} as const;

function byText({ by }: FailureRecord): string {
  return BY_TEXT[by];
}

function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
