/** Configuration files: `pith check` says what is wrong with any, and never breaks. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { configFile, ROOT } from '../support/serve.ts';
import type { Arena } from './arena.ts';
import type { Attack } from './attacks.ts';
import type { Chance } from './chance.ts';
import { json, NAMES, NUMBERS, spoilt, text } from './values.ts';

export const configAttacks: readonly Attack[] = [
  { what: 'files', over: 'pith check', next: check },
];

const EXAMPLE = readFileSync(join(ROOT, 'deploy/pith.yaml'), 'utf8');
const PATIENCE_MS = 60_000;
const SHORT = 3;

async function check(arena: Arena, n: number): Promise<void> {
  // A process each.
  if (!arena.isLong && n >= SHORT) return;
  using file = configFile(yamlOf(arena.chance));
  arena.sends(readFileSync(file.path).length);
  const args = [join(ROOT, 'src/main.ts'), 'check', '--config', file.path];
  type Ended = { code?: number | string; signal?: string; stdout: string; stderr: string };
  const ended = await promisify(execFile)(process.execPath, args, {
    cwd: ROOT,
    timeout: PATIENCE_MS,
    maxBuffer: 64_000_000,
  }).then(
    (out): Ended => ({ code: 0, ...out }),
    (error: unknown) => error as Ended,
  );
  if (ended.code === 0) arena.tally.answered++;
  else if (ended.code === 78) arena.refuse('78');
  else arena.fault(`check: ${ended.code ?? ended.signal}: ${ended.stderr.slice(0, 500)}`);
  if (/internal error|\bat file:|TypeError|RangeError/.test(ended.stderr))
    arena.fault(`check: ${ended.stderr.slice(0, 500)}`);
}

function yamlOf(chance: Chance): string {
  const lines = EXAMPLE.split('\n');
  const at = chance.int(0, lines.length - 1);
  const key = /^\s*[a-z_]+:/.exec(lines[at]!)?.[0] ?? 'x:';
  const value = chance.pick([
    json(chance, 500),
    chance.pick(NUMBERS),
    `"${text(chance, 300)}"`,
    chance.pick([
      '~',
      '[]',
      '{}',
      '*a',
      '&a [*a]',
      '!!js/function x',
      '${env:NO}',
      '${file:/dev/zero0}',
      '1e999s',
      '-1MiB',
      '99999999999999999999h',
    ]),
    `[${'['.repeat(5_000)}`,
    'x'.repeat(1_000_000),
  ]);
  switch (chance.int(0, 4)) {
    case 0:
      return spoilt(chance, Buffer.from(EXAMPLE)).toString();
    case 1:
      lines[at] = `${key} ${value}`;
      return lines.join('\n');
    case 2:
      return `${JSON.stringify(chance.pick(NAMES))}: ${value}\n`;
    case 3:
      return `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n`;
    default:
      return `backends: { b: { reply: { code: 200 } } }\nroutes:\n${`  - { match: "${chance.pick(['a.b', '>', '*.*', 'pith.closed'])}", backend: b }\n`.repeat(chance.pick([1, 5_000]))}`;
  }
}
