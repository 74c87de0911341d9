/** `pith check`, `routes`, `health` and `version`: what they print, for people or as JSON, and their exit codes. */
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { explainedText, explainRoute } from '../explain/explain-route.ts';
import type { Arguments } from './arguments.ts';
import { EXIT } from './exit-codes.ts';
import { askHealth } from './health.ts';
import { withProgress } from './progress.ts';
import { type ConfigIo, readConfig } from './read-config.ts';
import { describeRoutes } from './routes.ts';

export type Printed = {
  readonly code: number;
  /** For stdout and for stderr. */
  readonly out: string;
  readonly err: string;
};

type Asked<Name> = Extract<Arguments, { command: Name }>;

export async function inspectConfig(asked: Asked<'check'>, io: ConfigIo): Promise<Printed> {
  let read = await readConfig(asked.config, io);
  if (!('problems' in read) && read.isEmpty) {
    const { file } = asked.config;
    read = { problems: [`there is no ${file} in ${io.folder}: nothing to check`] };
  }
  if ('problems' in read) return refused(read.problems, asked.json);
  const { config, warnings } = read;
  const notes = notesOn(config);
  if (asked.json) {
    const { routes } = config;
    const backends = Object.entries(config.backends).map(([name, { kind }]) => ({ name, kind }));
    return json(EXIT.OK, { ok: true, warnings, notes, backends, routes });
  }
  const backends = counted(Object.keys(config.backends).length, 'backend');
  const out =
    `ok: ${backends}, ${counted(config.routes.length, 'route')}\n` +
    notes.map((note) => `note: ${note}\n`).join('') +
    describeRoutes(config);
  return { code: EXIT.OK, out, err: warningLines(warnings) };
}

function notesOn(config: Config): string[] {
  if (config.limits.connections_per_address !== 0) return [];
  return ['limits.connections_per_address is 0: one address may open any number of connections'];
}

export async function inspectRoute(asked: Asked<'routes'>, io: ConfigIo): Promise<Printed> {
  const read = await readConfig(asked.config, io);
  if ('problems' in read) return refused(read.problems, asked.json);
  const explained = await explainRoute(read.config, asked.route, asked.session);
  const code = explained.isReached ? EXIT.OK : EXIT.NO;
  const { isReached, rule, backend, address, steps } = explained;
  if (asked.json) {
    const { warnings } = read;
    return json(code, {
      ok: isReached,
      route: asked.route,
      rule,
      backend,
      address,
      steps,
      warnings,
    });
  }
  return { code, out: explainedText(asked.route, explained), err: warningLines(read.warnings) };
}

export async function inspectHealth(
  asked: Asked<'health'>,
  io: ConfigIo & { readonly say: (line: string) => void; readonly clock: Clock },
): Promise<Printed> {
  const read = await readConfig(asked.config, io);
  if ('problems' in read) return refused(read.problems, asked.json);
  const { listen } = read.config.health;
  const asking = askHealth(listen, asked.path, io.clock);
  const what = `asking ${listen}`;
  const { isThere, isWell, text } = await withProgress(io.clock, io.say, what, asking);
  const code = isWell ? EXIT.OK : isThere ? EXIT.NO : EXIT.UNAVAILABLE;
  if (asked.json) return json(code, { ok: isWell, answered: isThere, said: text.trimEnd() });
  return isWell ? { code, out: text, err: '' } : { code, out: '', err: text };
}

/** The same for a configuration that cannot be used, in every command. */
function refused(problems: readonly string[], asJson: boolean): Printed {
  if (asJson) return json(EXIT.CONFIG, { ok: false, problems });
  return { code: EXIT.CONFIG, out: '', err: `${problems.join('\n')}\n` };
}

export function json(code: number, facts: object): Printed {
  return { code, out: `${JSON.stringify(facts)}\n`, err: '' };
}

function warningLines(warnings: readonly string[]): string {
  return warnings.map((warning) => `warning: ${warning}\n`).join('');
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
