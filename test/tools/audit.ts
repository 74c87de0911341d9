/**
 * Asks npm's registry for known vulnerabilities of what is shipped: of what is installed without development packages, and
 * of those that are part of the program's files. Ends with 0 if there are none, 1 if there are, and 2 if there is no
 * answer. Bounded in time; AUDIT_SECONDS, default 60.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

type Vulnerability = {
  readonly name: string;
  readonly severity: string;
  readonly range: string;
  /** Where it is installed: paths of the lock file. */
  readonly nodes: readonly string[];
};
type Lock = { readonly packages: Readonly<Record<string, { readonly dev?: boolean }>> };
type Report = {
  readonly vulnerabilities?: Readonly<Record<string, Vulnerability>>;
  readonly metadata?: { readonly dependencies?: { readonly prod?: number } };
  readonly message?: string;
  readonly error?: { readonly summary?: string };
};

const seconds = Number(process.env['AUDIT_SECONDS'] ?? 60);

/** What npm says; '' when it has said nothing in time. */
async function ask(): Promise<string> {
  const args = ['audit', '--include=dev', '--json', '--fetch-retries=0'];
  const npm = spawn('npm', [...args, `--fetch-timeout=${seconds * 1_000}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: seconds * 1_000,
    killSignal: 'SIGKILL',
  });
  npm.on('error', () => {});
  return text(npm.stdout);
}

const ROOT = new URL('../../', import.meta.url);
const { BUNDLED } = (await import(new URL('deploy/package/bundled.mjs', ROOT).href)) as {
  readonly BUNDLED: readonly string[];
};
const { packages } = JSON.parse(readFileSync(new URL('package-lock.json', ROOT), 'utf8')) as Lock;

function isShipped({ nodes }: Vulnerability): boolean {
  return nodes.some(
    (path) =>
      packages[path]?.dev !== true || BUNDLED.some((name) => path === `node_modules/${name}`),
  );
}

function readReport(json: string): Report {
  try {
    return JSON.parse(json) as Report;
  } catch {
    return {};
  }
}

const report = readReport(await ask());
const { vulnerabilities, metadata } = report;
if (vulnerabilities === undefined) {
  const why = report.error?.summary || report.message || `nothing within ${seconds} s`;
  console.error(
    `audit: the registry gave no answer (${why.trim()}): nothing was checked. ` +
      'Try again, or name another registry: npm_config_registry=https://… make audit',
  );
  process.exitCode = 2;
} else {
  const known = Object.values(vulnerabilities).filter(isShipped);
  for (const { name, severity, range } of known)
    console.error(`audit: ${severity}: ${name} ${range}`);
  if (known.length > 0) {
    console.error('audit: `npm audit` tells more, and which versions mend it');
    process.exitCode = 1;
  } else {
    const count = (metadata?.dependencies?.prod ?? 0) + BUNDLED.length;
    console.log(`audit: no known vulnerabilities in ${count} packages`);
  }
}
