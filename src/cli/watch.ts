/** `pith watch`: what clients send and get, as it happens, and what became of it. */
import { errorText } from '../errors.ts';
import { ADMIN_HELP, type AdminPort, adminOf, type AskIo, withTokenOf } from './admin-options.ts';
import { type Line, streamFrom } from './admin-stream.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { oneLine } from './one-line.ts';
import { readOptions, UsageError } from './options.ts';

export const USAGE = `pith watch [--uid UID …] [--sid SID …] [--route ROUTE] [--bodies] [--admin HOST:PORT] [--token TOKEN] [--json]

Shows what clients send and get, on every gateway of the fleet, and what became of each message: rule, backend, address,
how long it waited and took, the code of its answer. Ctrl-C ends it. A uid or sid that is not there yet shows when it
comes; without --uid and --sid all sessions are shown.

  --uid UID                         sessions of this uid; may be repeated
  --sid SID                         this session; may be repeated
  --route ROUTE                     only messages of this route, or pattern as in chat.>
  --bodies                          with the bodies: for the role write, where admin.watch_bodies is true
  --max-per-second N                packets of each gateway, 1 to 1000; default 100; what is left out is counted
${ADMIN_HELP}
  --json                            print each event as one line of JSON, as pith.v1.WatchEvent has it
  -h, --help                        print this

Exit code: 0 the gateway has ended it; 1 it refused; 64 wrong arguments; 69 nothing answered, or the gateway is gone.
`;

export type WatchIo = AskIo & {
  readonly args: readonly string[];
  /** Resolves once it is taken. */
  readonly print: (text: string) => Promise<void>;
  /** To the person, not into what is printed. */
  readonly say: (text: string) => void;
};

type Settings = { readonly admin: AdminPort; readonly json: boolean; readonly request: object };

/** null: help is requested. @throws {UsageError} Says what is wrong. */
export function readWatchSettings(args: readonly string[]): Settings | null {
  const options = readOptions(args, COMMANDS.watch.options);
  if (options.wantsHelp) return null;
  if (options.positionals.length > 0)
    throw new UsageError('watch takes no arguments: give --uid, --sid or --route');
  const [uids, sids] = [options.all('uid'), options.all('sid')];
  if ([...uids, ...sids].includes('')) throw new UsageError('a uid or sid is empty');
  const perSecond = options.text('max-per-second');
  if (perSecond !== undefined && !/^([1-9][0-9]{0,2}|1000)$/.test(perSecond))
    throw new UsageError(`--max-per-second ${perSecond}: expected a whole number from 1 to 1000`);
  return {
    admin: adminOf(options),
    json: options.has('json'),
    request: {
      target: { uids, sids },
      route: options.text('route') ?? '',
      bodies: options.has('bodies'),
      max_per_second: Number(perSecond ?? 0),
    },
  };
}

/** Resolves to the exit code when it is over. Never rejects. */
export async function runWatch({ args, env, clock, print, say }: WatchIo): Promise<number> {
  let settings: Settings | null;
  try {
    settings = readWatchSettings(args);
  } catch (error) {
    say(`pith: ${errorText(error)}\nsee pith watch --help\n`);
    return EXIT.USAGE;
  }
  if (settings === null) {
    await print(USAGE);
    return EXIT.OK;
  }
  const { json, request } = settings;
  const stream = await streamFrom(withTokenOf(settings.admin, env), 'Watch', request, clock);
  if ('why' in stream) return refused(stream, say);
  const words = new WatchWords();
  for await (const line of stream) {
    if ('why' in line) return refused(line, say);
    await print(json ? `${line.text}\n` : words.of(line));
    if (line.fields['kind'] === 'ended') return EXIT.OK;
  }
  say('pith: the gateway is gone\n');
  return EXIT.UNAVAILABLE;
}

function refused(
  { isThere, why }: { readonly isThere: boolean; readonly why: string },
  say: WatchIo['say'],
): number {
  say(`pith: ${why}\n`);
  return isThere ? EXIT.NO : EXIT.UNAVAILABLE;
}

type Fields = Line['fields'];

/** Events as lines for people. */
export class WatchWords {
  /** What was said last of who takes part. */
  #gateways = '';

  /** '': nothing that is new. */
  of({ fields }: Pick<Line, 'fields'>): string {
    if (fields['kind'] === 'watching') return this.#watching(fields);
    const at = new Date(String(fields['at']));
    const time = Number.isNaN(at.getTime()) ? '            ' : at.toISOString().slice(11, 23);
    const who = [
      text(fields, 'sid'),
      ...(has(fields, 'uid') ? [`uid ${text(fields, 'uid')}`] : []),
    ];
    const words = [ARROWS[text(fields, 'direction')] ?? '·', ...wordsOf(fields)];
    const line = [time, ...words, ...(who[0] === '' ? [] : [`(${who.join(', ')})`])].join(' ');
    const body = bodyOf(fields);
    return `${line}\n${body === '' ? '' : `${' '.repeat(13)}${body}\n`}`;
  }

  #watching(fields: Fields): string {
    const { sessions } = fields;
    const [all, silent] = [list(fields, 'gateways'), list(fields, 'silent_gateways')];
    const said = `${all} / ${silent}`;
    if (said === this.#gateways) return '';
    this.#gateways = said;
    const count = Number(sessions) === 1 ? '1 session' : `${Number(sessions)} sessions`;
    return `watching ${count} on ${all}${silent === '' ? '' : `; not shown, since they do not answer: ${silent}`}\n`;
  }
}

const ARROWS: Readonly<Record<string, string>> = { in: '→', out: '←' };

function wordsOf(fields: Fields): string[] {
  const words = [text(fields, 'kind')];
  if (has(fields, 'route')) words.push(text(fields, 'route'));
  if (Number(fields['id']) > 0) words.push(`#${text(fields, 'id')}`);
  if (Number(fields['code'] ?? 0) !== 0) words.push(text(fields, 'code'));
  if (has(fields, 'reason')) words.push(text(fields, 'reason'));
  if (Number(fields['bytes']) > 0) words.push(`${text(fields, 'bytes')} B`);
  if (Number(fields['over_rate']) > 0)
    words.push(`${text(fields, 'over_rate')} over the rate (--max-per-second)`);
  if (Number(fields['unread']) > 0) words.push(`${text(fields, 'unread')} not read in time`);
  const way = ['rule', 'backend', 'address'].filter((name) => has(fields, name));
  if (way.length > 0) words.push(`[${way.map((name) => text(fields, name)).join(' → ')}]`);
  if (Number.parseFloat(text(fields, 'waited')) > 0) words.push(`waited ${ms(fields, 'waited')}`);
  if (has(fields, 'took')) words.push(`took ${ms(fields, 'took')}`);
  if (Number(fields['retries']) > 0) words.push(`sent again ${text(fields, 'retries')} times`);
  if (has(fields, 'note')) words.push(`– ${text(fields, 'note')}`);
  return words;
}

/** As one line: what players send is not for the terminal to interpret. */
function text(fields: Fields, name: string): string {
  const value = fields[name];
  return oneLine(typeof value === 'string' || typeof value === 'number' ? String(value) : '');
}

function has(fields: Fields, name: string): boolean {
  return text(fields, name) !== '';
}

function list(fields: Fields, name: string): string {
  const value = fields[name];
  return Array.isArray(value) ? oneLine(value.map(String).toSorted().join(', ')) : '';
}

/** `"0.004s"` */
function ms(fields: Fields, name: string): string {
  return `${Math.round(Number.parseFloat(text(fields, name)) * 1_000)} ms`;
}

function bodyOf({ body }: Fields): string {
  const { text: words, bytes } = (body ?? {}) as { text?: unknown; bytes?: unknown };
  if (typeof words === 'string') return oneLine(words);
  return typeof bytes === 'string' ? `<${Buffer.from(bytes, 'base64').toString('hex')}>` : '';
}
