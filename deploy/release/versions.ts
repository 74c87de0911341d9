/** Which files contain the version, and what a release changes in the changelog. Pure. */

/** The form of https://semver.org without build metadata, which image tags do not allow. */
export const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

/** Every file that contains the version, with the texts around it. A test checks that the list is complete. */
export const PLACES: readonly { file: string; texts: (version: string) => readonly string[] }[] = [
  { file: 'package.json', texts: (v) => [`  "version": "${v}",`] },
  {
    file: 'package-lock.json',
    texts: (v) => [
      `  "name": "pith",\n  "version": "${v}",`,
      `      "name": "pith",\n      "version": "${v}",`,
    ],
  },
  { file: 'src/client/package.json', texts: (v) => [`  "version": "${v}",`] },
  { file: 'src/client/version.ts', texts: (v) => [`'${v}'`] },
  // Built from it: a unit test compares.
  { file: 'src/gen/web/playground.js', texts: (v) => [`\`${v}\``] },
  { file: 'README.md', texts: (v) => [`/pith:${v} `] },
  { file: 'deploy/README.md', texts: (v) => [`pith:${v}`] },
  { file: 'deploy/Dockerfile', texts: (v) => [`ARG VERSION=${v}\n`] },
  {
    file: 'deploy/helm/pith/Chart.yaml',
    texts: (v) => [`\nversion: ${v}\n`, `\nappVersion: "${v}"\n`],
  },
  ...['fleet', 'sidecar'].map((name) => ({
    file: `deploy/manifests/${name}.yaml`,
    texts: (v: string) => [`app.kubernetes.io/version: ${v}\n`, `pith:${v}`],
  })),
];

/** The text of a file with the new version; or what is missing in it. */
export function withVersion(
  text: string,
  texts: (version: string) => readonly string[],
  old: string,
  version: string,
): { text: string } | { missing: string } {
  const after = texts(version);
  let changed = text;
  for (const [i, before] of texts(old).entries()) {
    if (!changed.includes(before)) return { missing: before.trim() };
    changed = changed.replaceAll(before, () => after[i]!);
  }
  return { text: changed };
}

/** Whether `version` comes after `old` in the order of semver.org, section 11. */
export function isNewer(version: string, old: string): boolean {
  const [a, b] = [parts(version), parts(old)];
  for (let i = 0; i < 3; i++) {
    if (a.core[i] !== b.core[i]) return a.core[i]! > b.core[i]!;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return a.pre.length === 0 && b.pre.length > 0;
  for (let i = 0; i < Math.max(a.pre.length, b.pre.length); i++) {
    const order = comparePre(a.pre[i], b.pre[i]);
    if (order !== 0) return order > 0;
  }
  return false;
}

function parts(version: string): { core: number[]; pre: string[] } {
  const dash = version.indexOf('-');
  const core = dash === -1 ? version : version.slice(0, dash);
  const pre = dash === -1 ? [] : version.slice(dash + 1).split('.');
  return { core: core.split('.').map(Number), pre };
}

/** Fewer fields come first; numbers come before words, and are compared as numbers. */
function comparePre(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? -1 : 1;
  const [x, y] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (x && y) return Number(a) - Number(b);
  if (x !== y) return x ? -1 : 1;
  return a < b ? -1 : 1;
}

/** The changelog with the unreleased changes under the new version's heading; null if there is nothing unreleased. */
export function closeUnreleased(text: string, version: string, date: string): string | null {
  const heading = '## [Unreleased]\n';
  const start = text.indexOf(heading);
  if (start === -1) return null;
  const from = start + heading.length;
  const next = text.indexOf('\n## [', from);
  const body = text.slice(from, next === -1 ? text.length : next).trim();
  if (!/^- /m.test(body)) return null;
  const rest = next === -1 ? '' : text.slice(next);
  return `${text.slice(0, from)}\n## [${version}] - ${date}\n\n${body}\n${rest}`;
}
