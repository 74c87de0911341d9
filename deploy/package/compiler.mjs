/**
 * Installs what build.mjs needs, and nothing else of development, in the versions of the lock file:
 *   node compiler.mjs FOLDER     FOLDER/node_modules; a clone in or below FOLDER finds it
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { BUNDLED } from './bundled.mjs';

const NEEDED = ['rolldown', 'typescript', '@types/node', '@types/ws', ...BUNDLED];

const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'));
const packages = NEEDED.map((name) => `${name}@${lock.packages[`node_modules/${name}`].version}`);
const quiet = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--loglevel=error'];
execFileSync('npm', ['install', ...quiet, '--prefix', process.argv[2], ...packages], {
  stdio: ['ignore', 2, 2],
});
