/** deploy/nats for Kubernetes, as far as a nats-server alone can tell; `make cluster-test` runs it on a cluster. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { expect, test } from 'vitest';

import { run } from '../support/process.ts';

const folder = new URL('../../deploy/nats/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

type Container = { env: { name: string; value?: string }[] };
type StatefulSet = { kind: string; spec: { template: { spec: { containers: Container[] } } } };

const USERS = ['GATEWAY', 'OPERATOR', 'CHAT', 'WORLD', 'ROUTE'];
const secret: Record<string, string> = Object.fromEntries(
  USERS.map((user) => [`NATS_${user}_PASSWORD`, `p${user}`]),
);

/** What the container of the StatefulSet sees, with the Secret's values. */
function environment(): Record<string, string> {
  const objects = parseAllDocuments(read('statefulset.yaml')).map(
    (document) => document.toJS() as StatefulSet,
  );
  const [container] = objects.find(({ kind }) => kind === 'StatefulSet')!.spec.template.spec
    .containers;
  const own = container!.env.map(({ name, value }) => [
    name,
    value === undefined
      ? 'nats-0'
      : value.replace(/\$\((\w+)\)/g, (_, key: string) => secret[key] ?? ''),
  ]);
  return { ...secret, ...(Object.fromEntries(own) as Record<string, string>) };
}

function checked(env: Record<string, string>): Promise<{ code: number | string; output: string }> {
  const file = fileURLToPath(new URL('nats.conf', folder));
  return run('nats-server', ['-t', '--config', file], { env });
}

test('nats-server takes the configuration in the environment of the StatefulSet', async () => {
  const { code, output } = await checked(environment());
  expect(output).toContain('is valid');
  expect(code).toBe(0);
});

test.each(Object.keys(secret))('and not without %s', async (name) => {
  const { [name]: _, ...others } = environment();
  const { code, output } = await checked(others);
  expect(output).toContain(name);
  expect(code).toBe(1);
});

test('deploy/README.md makes a password for each user that the files name', () => {
  const named = `${read('nats.conf')}${read('permissions.conf')}`.matchAll(
    /\$NATS_(\w+)_PASSWORD/g,
  );
  expect(new Set([...named].map(([, user]) => user))).toEqual(new Set(USERS));
  const page = readFileSync(new URL('../README.md', folder), 'utf8');
  expect(page).toContain(`for user in ${USERS.join(' ')}; do`);
});
