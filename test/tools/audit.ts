/**
 * Asks npm's registry for known vulnerabilities of what is installed without development packages. Ends with 0 if there
 * are none, 1 if there are, and 2 if there is no answer. Bounded in time; AUDIT_SECONDS, default 60.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

type Vulnerability = { readonly name: string; readonly severity: string; readonly range: string };
type Report = {
  readonly vulnerabilities?: Readonly<Record<string, Vulnerability>>;
  readonly metadata?: { readonly dependencies?: { readonly prod?: number } };
  readonly message?: string;
  readonly error?: { readonly summary?: string };
};

const seconds = Number(process.env['AUDIT_SECONDS'] ?? 60);

/** What npm says; '' when it has said nothing in time. */
async function ask(): Promise<string> {
  const args = ['audit', '--omit=dev', '--json', '--fetch-retries=0'];
  const npm = spawn('npm', [...args, `--fetch-timeout=${seconds * 1_000}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: seconds * 1_000,
    killSignal: 'SIGKILL',
  });
  npm.on('error', () => {});
  return text(npm.stdout);
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
} else if (Object.keys(vulnerabilities).length > 0) {
  for (const { name, severity, range } of Object.values(vulnerabilities))
    console.error(`audit: ${severity}: ${name} ${range}`);
  console.error('audit: `npm audit --omit=dev` tells more, and which versions mend it');
  process.exitCode = 1;
} else {
  console.log(`audit: no known vulnerabilities in ${metadata?.dependencies?.prod ?? 0} packages`);
}
