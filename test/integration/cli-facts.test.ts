/** What the commands print for programs and for shells: --json, completion, and a word to those who wait. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';

import { hasProgram } from '../support/npm-clients.ts';
import { run } from '../support/process.ts';
import { configFile, pith, serve } from '../support/serve.ts';

const ONE_ROUTE = `
backends: { chat: { grpc: "127.0.0.1:9000" } }
routes: [{ match: "chat.>", backend: chat }]
`;

/** What is printed, which is one line of JSON. */
async function facts(...args: string[]): Promise<{ code: number | string; said: unknown }> {
  const { code, output } = await pith(...args, '--json');
  expect(output).toMatch(/^\{[^\n]*\}\n$/);
  return { code, said: JSON.parse(output) };
}

describe('--json', () => {
  test('of check tells what it found, or every problem', async () => {
    using file = configFile(ONE_ROUTE);
    expect(await facts('check', file.path)).toEqual({
      code: 0,
      said: {
        ok: true,
        warnings: [],
        notes: [
          'limits.connections_per_address is 0: one address may open any number of connections',
        ],
        backends: [{ name: 'chat', kind: 'grpc' }],
        routes: [expect.objectContaining({ match: 'chat.>', backend: 'chat', timeout: 10_000 })],
      },
    });
    using wrong = configFile('colour: red\nsize: 1\n');
    expect(await facts('check', wrong.path)).toEqual({
      code: 78,
      said: {
        ok: false,
        problems: [
          expect.stringMatching(`^${wrong.path}:1: colour: `),
          expect.stringMatching(`^${wrong.path}:2: size: `),
        ],
      },
    });
  });

  test('of routes tells where a message would go, or that it goes nowhere', async () => {
    using file = configFile(ONE_ROUTE);
    expect(await facts('routes', 'chat.a', '-c', file.path)).toEqual({
      code: 0,
      said: {
        ...{ ok: true, route: 'chat.a', rule: 'chat.>', backend: 'chat' },
        ...{ address: '127.0.0.1:9000', warnings: [] },
        steps: expect.arrayContaining(['routes[0] chat.>: matches']),
      },
    });
    expect(await facts('routes', 'no.where', '-c', file.path)).toMatchObject({
      code: 1,
      said: { ok: false, route: 'no.where', rule: '', backend: '' },
    });
  });

  test('of health tells what was said, or that nothing answers', async () => {
    await using served = await serve('');
    const at = ['--set', `health.listen=127.0.0.1:${served.healthPort}`];
    expect(await facts('health', ...at)).toEqual({
      code: 0,
      said: { ok: true, answered: true, said: 'ok' },
    });
    served.running.kill('SIGTERM');
    await served.running.exited;
    expect(await facts('health', ...at)).toMatchObject({
      code: 69,
      said: { ok: false, answered: false },
    });
  });

  test('of version tells those of Node and the platform', async () => {
    expect((await facts('version')).said).toEqual({
      pith: expect.stringMatching(/^\d+\.\d+\.\d+/),
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
    });
  });
});

test('who waits longer than a second is told for what', async () => {
  // It takes connections, and says nothing.
  const hole = net.createServer().listen(0, '127.0.0.1');
  await once(hole, 'listening');
  const { port } = hole.address() as net.AddressInfo;
  const asked = await pith('health', '--set', `health.listen=127.0.0.1:${port}`);
  expect(asked.output).toBe(
    `asking 127.0.0.1:${port} …\ncannot ask http://127.0.0.1:${port}/livez: no answer in 4 s\n`,
  );
  const url = `ws://127.0.0.1:${port}`;
  const connecting = await pith('client', url, '--request', 'a.b', '--timeout', '2s');
  expect(connecting.output).toMatch(
    new RegExp(`^connecting to ${url} …\npith: cannot connect to `),
  );
  hole.close();
});

describe('completion', () => {
  /** What the shell offers for a line whose last word is still being typed. */
  const shells = {
    bash: (script: string, line: string) => [
      '-c',
      `. ${script}; read -ra COMP_WORDS <<<"$1"; [[ $1 == *' ' ]] && COMP_WORDS+=('')
       COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _pith; printf '%s\\n' "\${COMPREPLY[@]}"`,
      'bash',
      line,
    ],
    fish: (script: string, line: string) => [
      '--no-config',
      '-c',
      `source ${script}; complete -C "${line}" | string split -f1 \\t`,
    ],
  };

  const offers: [string, string[]][] = [
    ['pith se', ['serve']],
    ['pith init --backend ', ['go-grpc', 'go-nats', 'java', 'python', 'typescript']],
    ['pith client --dialect p', ['pitaya', 'pomelo']],
    ['pith completion ', ['bash', 'fish', 'zsh']],
    ['pith serve --e', ['--exit-with-parent']],
    ['pith help mock', ['mock-backend']],
    ['pith check my', ['my.yaml']],
    ['pith serve -c my', ['my.yaml']],
    ['pith routes --uid my', []],
  ];

  test.each(['bash', 'fish'] as const)('of %s offers what commands.ts lists', async (shell) => {
    const home = mkdtempSync(join(tmpdir(), 'pith-completion-'));
    try {
      const { output } = await pith('completion', shell);
      writeFileSync(join(home, 'script'), output);
      writeFileSync(join(home, 'my.yaml'), '');
      if (!hasProgram(shell)) return;
      for (const [line, offered] of offers) {
        const done = await run(shell, shells[shell](join(home, 'script'), line), { cwd: home });
        const words = done.output.split('\n').filter((word) => word !== '');
        expect(words.toSorted(), line).toEqual(offered);
      }
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  test('of zsh is sound, and has the options of each command', async () => {
    const { output } = await pith('completion', 'zsh');
    expect(output).toMatch(/^#compdef pith\n/);
    expect(output).toContain(
      "init) _arguments -s '--backend=:KIND:(go-grpc go-nats python java typescript)'",
    );
    expect(output).toContain("'*--set=:KEY=VALUE:'");
    if (!hasProgram('zsh')) return;
    const script = `autoload -Uz compinit; compinit -D -u; eval "$1"; print $_comps[pith]`;
    expect((await run('zsh', ['-fc', script, 'zsh', output])).output).toBe('_pith\n');
  });

  test('a shell that it does not know is refused', async () => {
    for (const args of [[], ['tcsh']]) {
      const { code, output } = await pith('completion', ...args);
      expect(output).toContain('expected one of bash, zsh, fish');
      expect(code).toBe(64);
    }
  });
});
