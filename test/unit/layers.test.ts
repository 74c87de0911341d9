import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { AMBIENT_ALLOWED, checkAmbient } from '../support/ambient.ts';
import { CALLBACK_TYPES, checkCallbacks } from '../support/callbacks.ts';
import { checkLayers, printProblem, RULES, sourceFiles, WHAT } from '../support/layers.ts';
import { layersPage } from '../support/layers-page.ts';
import { expectBlock } from '../support/page-block.ts';
import { findAmbient, findImports } from '../support/syntax.ts';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

/** Writes a little source tree and returns its folder. */
function plant(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'pith-layers-'));
  roots.push(root);
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return root;
}

/** Puts one import on line 2 of `file` and returns what the check says. */
function check(file: string, statement: string): string[] {
  return checkLayers(plant({ [file]: `// Line 1.\n${statement}\n` })).map(printProblem);
}

describe('src', () => {
  test('keeps to its layers', () => {
    expect(checkLayers(SRC).map(printProblem)).toEqual([]);
  });

  test('calls upward only where it is listed', () => {
    expect(checkCallbacks(SRC, CALLBACK_TYPES)).toEqual([]);
    expect(CALLBACK_TYPES.length).toBeLessThanOrEqual(12);
  });

  test('takes time and chance from a Clock and a Random', () => {
    expect(checkAmbient(SRC, AMBIENT_ALLOWED)).toEqual([]);
  });

  test('begins each file with a comment of its own style', () => {
    const others = sourceFiles(SRC)
      .filter((file) => !file.startsWith('gen/'))
      .filter((file) => readFileSync(join(SRC, file), 'utf8').startsWith('//'));
    expect(others, 'begin with /** … */').toEqual([]);
  });

  test('gives the unit tests their folders', () => {
    const unit = fileURLToPath(new URL('.', import.meta.url));
    // What is shared there has folders of its own.
    const tested = sourceFiles(unit)
      .filter((file) => file.endsWith('.test.ts'))
      .map(dirname);
    const strange = [...new Set(tested)].filter((folder) => !existsSync(join(SRC, folder)));
    expect(strange, 'folders of test/unit that src/ does not have').toEqual(['deploy']);
  });

  test('is really looked at', () => {
    expect(sourceFiles(SRC).length).toBeGreaterThan(0);
    expect(() => checkLayers(plant({ 'README.md': 'no code' }))).toThrow(/no source files/);
  });
});

test('no kind of backend knows another', () => {
  // All folders there, but those that several kinds share.
  const shared = ['grpc-client', 'link', 'pool'];
  const kinds = readdirSync(join(SRC, 'upstream'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !shared.includes(entry.name))
    .map(({ name }) => `upstream/${name}/`);
  expect(kinds).toContain('upstream/nats/');
  const known = Object.entries(RULES)
    .filter(([row]) => row.startsWith('upstream/'))
    .flatMap(([row, allowed]) =>
      allowed
        .filter((item) => kinds.some((kind) => item.includes(kind) && !row.startsWith(kind)))
        .map((item) => `${row} ${item}`),
    );
  expect(known).toEqual([]);
});

describe('the table of src/README.md', () => {
  test('is what the check allows', () => {
    expectBlock('src/README.md', 'layers', layersPage());
  });

  test('has a sentence for each row, and for no other', () => {
    expect(Object.keys(WHAT).toSorted()).toEqual(Object.keys(RULES).toSorted());
  });

  test('says what may be imported in words', () => {
    const rules = {
      'a/': [
        'b/',
        'type c/',
        'd/e.ts',
        'd/f*',
        'type d/g.ts',
        'top.ts',
        'ws',
        'type zod',
        'node:net',
      ],
      'b/': ['*'],
      'c/': [],
      'd/': ['a/', 'type a/', 'a/b/'],
      'd/h/': ['b/', 'a/', 'a/b/', 'type a/'],
      'wiring/': ['*'],
    };
    const what = {
      'a/': 'one',
      'b/': 'two',
      'c/': 'three',
      'd/': 'four',
      'd/h/': 'five',
      'wiring/': 'six',
    };
    expect(layersPage(rules, what).split('\n').slice(0, 8)).toEqual([
      '| folder or file | what | may import from | packages |',
      '| --- | --- | --- | --- |',
      '| `a/` | one | b, top.ts; parts of d; types of c | ws, zod (types) |',
      '| `b/` | two | everything but main.ts, serve.ts, serve-worker.ts, serving.ts, gateway.ts, shutdown.ts, wiring, cli |  |',
      '| `c/` | three | – |  |',
      '| `d/` | four | a, a/b |  |',
      '| `d/h/` | five | what `d/` may; b |  |',
      '| `wiring/` | six | everything but main.ts, serve.ts, serve-worker.ts, serving.ts, gateway.ts, shutdown.ts, cli |  |',
    ]);
  });
});

describe('the check refuses', () => {
  test.each([
    ['protocol/packet.ts', '../session/session.ts', 'protocol/ may not import session/session.ts'],
    ['protocol/packet.ts', '../telemetry/log.ts', 'protocol/ may not import telemetry/log.ts'],
    ['protocol/packet.ts', 'node:fs', 'protocol/ may not import node:fs'],
    ['routing/route.ts', '../telemetry/metrics.ts', 'routing/ may not import telemetry/metrics.ts'],
    ['routing/route.ts', '../protocol/message.ts', 'routing/ may not import protocol/message.ts'],
    ['config/load.ts', 'node:process', 'config/ may not import node:process'],
    ['config/load.ts', '../telemetry/log.ts', 'config/ may not import telemetry/log.ts'],
    ['errors.ts', './clock.ts', 'errors.ts may not import clock.ts'],
    ['clock.ts', 'node:timers', 'clock.ts may not import node:timers'],
    ['timer-wheel.ts', './session/session.ts', 'timer-wheel.ts may not import session/session.ts'],
    ['session/session.ts', 'ws', 'session/ may not import ws'],
    ['session/session.ts', '../relay/relay.ts', 'session/ may not import relay/relay.ts'],
    ['session/session.ts', '../telemetry/setup.ts', 'session/ may not import telemetry/setup.ts'],
    ['upstream/call.ts', '@grpc/grpc-js', 'upstream/ may not import @grpc/grpc-js'],
    ['upstream/call.ts', 'nats', 'upstream/ may not import nats'],
    ['upstream/nats/call.ts', '@grpc/grpc-js', 'upstream/nats/ may not import @grpc/grpc-js'],
    ['upstream/grpc/call.ts', 'nats', 'upstream/grpc/ may not import nats'],
    [
      'upstream/grpc/call.ts',
      'grpc-health-check',
      'upstream/grpc/ may not import grpc-health-check',
    ],
    ['upstream/nats/call.ts', 'node:dns', 'upstream/nats/ may not import node:dns'],
    ['upstream/http/a.ts', '../nats/b.ts', 'upstream/http/ may not import upstream/nats/b.ts'],
    ['upstream/ipc/a.ts', '../link/b.ts', 'upstream/ipc/ may not import upstream/link/b.ts'],
    ['upstream/call.ts', './nats/b.ts', 'upstream/ may not import upstream/nats/b.ts'],
    ['contract/a.ts', '../upstream/call.ts', 'contract/ may not import upstream/call.ts'],
    ['contract/a.ts', '../session/b.ts', 'contract/ may not import session/b.ts'],
    ['control/server.ts', '../client/tcp.ts', 'control/ may not import client/tcp.ts'],
    ['relay/relay.ts', '../upstream/grpc/call.ts', 'relay/ may not import upstream/grpc/call.ts'],
    [
      'relay/relay.ts',
      '../bus/session-commands.ts',
      'relay/ may not import bus/session-commands.ts',
    ],
    [
      'bus/session-commands.ts',
      '../upstream/nats/call.ts',
      'bus/ may not import upstream/nats/call.ts',
    ],
    ['bus/session-commands.ts', '../control/server.ts', 'bus/ may not import control/server.ts'],
    [
      'control/server.ts',
      '../upstream/upstream.ts',
      'control/ may not import upstream/upstream.ts',
    ],
    ['control/server.ts', 'node:dgram', 'control/ may not import node:dgram'],
    ['telemetry/setup.ts', '../session/session.ts', 'telemetry/ may not import session/session.ts'],
    ['control/server.ts', '../gateway.ts', 'control/ may not import gateway.ts'],
    ['gateway.ts', './main.ts', 'gateway.ts may not import main.ts'],
    ['gateway.ts', './cli/client.ts', 'gateway.ts may not import cli/client.ts'],
    ['cli/client.ts', '../gateway.ts', 'cli/ may not import gateway.ts'],
    ['main.ts', './session/session.ts', 'main.ts may not import session/session.ts'],
    ['session/session.ts', '../../package.json', 'session/ may not import ../package.json'],
    ['session/session.ts', 'left-pad', 'session/ may not import left-pad'],
  ])('%s -> %s', (file, name, why) => {
    expect(check(file, `import { a } from '${name}';`)).toEqual([
      `${file}:2: imports '${name}': ${why}`,
    ]);
  });

  test('a value where only types may come from', () => {
    const file = 'upstream/call.ts';
    expect(check(file, `import { Session } from '../session/session.ts';`)).toEqual([
      `${file}:2: imports '../session/session.ts': upstream/ may import session/session.ts by 'import type' only`,
    ]);
    expect(check(file, `import type { Session } from '../session/session.ts';`)).toEqual([]);
  });

  test('every form of an import', () => {
    for (const statement of [
      `import '../relay/relay.ts';`,
      `import relay from "../relay/relay.ts";`,
      `import * as relay from '../relay/relay.ts'`,
      `import type { Relay } from '../relay/relay.ts';`,
      `export * from '../relay/relay.ts';`,
      `export { relay as r } from '../relay/relay.ts';`,
      `const relay = await import('../relay/relay.ts');`,
      'const relay = await import(`../relay/relay.ts`);',
      `let relay: import('../relay/relay.ts').Relay;`,
    ]) {
      expect(check('session/session.ts', statement), statement).toHaveLength(1);
    }
  });

  test('a dynamic import of a computed name', () => {
    expect(check('session/session.ts', 'await import(`./${name}.ts`);')).toEqual([
      `session/session.ts:2: imports 'import(…)': the name is computed, so it cannot be checked: write it out`,
    ]);
  });

  test('a file that no row covers, a barrel, and a drawer', () => {
    expect(check('stray.ts', '')).toEqual([expect.stringMatching(/^stray.ts:1: no row covers/)]);
    expect(check('session/index.ts', '')).toEqual([expect.stringMatching(/no index files/)]);
    expect(check('session/utils/a.ts', '')).toEqual([expect.stringMatching(/named 'utils'/)]);
  });

  test.each([
    ['class Cache {}', 'class Cache'],
    ['export class Cache {}', 'class Cache'],
    ['export function makeCache() { return new (class {})(); }', 'class'],
    ['export function describe() {}', 'export of describe'],
    ['export function maker() {}', 'export of maker'],
    ['export async function* pages() {}', 'export of pages'],
    ['export const LIMIT = 5, makeCache = () => 5;', 'export of LIMIT, makeCache'],
    ['export enum Kind { A }', 'export of Kind'],
    ['const LIMIT = 5; export { LIMIT as limit };', 'export of limit'],
    [`export { makeTable } from '../routing/table.ts';`, 'export of makeTable'],
    [`export * from '../routing/table.ts';`, 'export of all that another file has'],
    ['export default function makeCache() {}', 'export by default'],
  ])('in wiring/: %s', (statement, what) => {
    expect(check('wiring/cache.ts', statement)).toEqual([
      `wiring/cache.ts:2: ${what}: wiring/ holds functions make… and types alone: move it to the folder that it belongs to`,
    ]);
    // Elsewhere it is what files are for.
    expect(check('session/cache.ts', statement.replace('routing/', 'session/'))).toEqual([]);
  });

  test('all that is wrong, not only the first of it', () => {
    const root = plant({
      'protocol/packet.ts': `import 'ws';\nimport './message.ts';\n\nimport 'nats';\n`,
      'relay/relay.ts': `import '../gateway.ts';\n`,
    });
    expect(checkLayers(root).map(({ file, line }) => `${file}:${line}`)).toEqual([
      'protocol/packet.ts:1',
      'protocol/packet.ts:4',
      'relay/relay.ts:1',
    ]);
  });
});

describe('the check allows', () => {
  test('in wiring/: functions that make something, types, and what stays in the file', () => {
    const root = plant({
      'wiring/cache.ts': `
        export type { Table } from '../routing/table.ts';
        export interface CacheParts { size: number }
        export type Cache = { of(key: string): string };
        const SIZE_MAX = 5;
        function sizeOf({ size }: CacheParts): number { return Math.min(size, SIZE_MAX); }
        export function makeCache(parts: CacheParts): number { return sizeOf(parts); }
        export async function makeSlowCache(): Promise<number> { return SIZE_MAX; }
      `,
    });
    expect(checkLayers(root).map(printProblem)).toEqual([]);
  });

  test.each([
    ['protocol/packet.ts', '../errors.ts'],
    ['protocol/packet.ts', './message.ts'],
    ['transport/websocket.ts', 'ws'],
    ['transport/listener.ts', 'node:tls'],
    ['session/session.ts', '../transport/transport.ts'],
    ['session/session.ts', '../telemetry/metrics.ts'],
    ['upstream/grpc/channel.ts', '../upstream.ts'],
    ['upstream/pool/resolver.ts', 'node:dns/promises'],
    ['upstream/nats/dial.ts', 'nats'],
    ['relay/relay.ts', '../upstream/call-pool.ts'],
    ['bus/reply-bus.ts', '../upstream/nats/subjects.ts'],
    ['control/server.ts', 'grpc-health-check'],
    ['gateway.ts', './upstream/grpc/channel.ts'],
    ['main.ts', './serve.ts'],
    ['serving.ts', './gateway.ts'],
  ])('%s -> %s', (file, name) => {
    expect(check(file, `import { a } from '${name}';`)).toEqual([]);
  });
});

describe('an import', () => {
  const names = (source: string): (string | undefined)[] =>
    findImports('a.ts', source).map(({ name }) => name);

  test('is not fooled by comments, strings, templates and regular expressions', () => {
    const source = [
      `// import 'a';`,
      `/* import 'b';\n import 'c'; */`,
      `const s = "import 'd'" + 'it\\'s import "e"';`,
      'const t = `import "f" ${ { g: `}import "h"` }.g } import "i"`;',
      `const r = /['"\`/*]/.test(s) ? 4 / 2 : x['/'] / 3; // import 'j'`,
      `const m = import.meta.url; loader.import('k'); const o = { from: 'l' };`,
      `export const from = 'm'; export { s }; export type T = { a: 'n' };`,
      `import 'seen';`,
    ].join('\n');
    expect(names(source)).toEqual(['seen']);
  });

  test('reads over many lines and tells the line and whether it is only a type', () => {
    const source = `'use strict';\nimport type {\n  A,\n} from './a.ts';\nimport { type B } from './b.ts';\nimport type from './c.ts';\nexport type * from './d.ts';`;
    expect(findImports('a.ts', source)).toEqual([
      { line: 2, name: './a.ts', isType: true },
      { line: 5, name: './b.ts', isType: false },
      { line: 6, name: './c.ts', isType: false },
      { line: 7, name: './d.ts', isType: true },
    ]);
  });

  test('is found after characters of any width, in a type, and as require', () => {
    const source = `const s = '😀é';\nlet a: import('./a.ts').A;\nimport b = require('./b.cjs');`;
    expect(findImports('a.ts', source)).toEqual([
      { line: 2, name: './a.ts', isType: true },
      { line: 3, name: './b.cjs', isType: false },
    ]);
  });

  test('cannot hide in a file that does not parse', () => {
    expect(() => findImports('a.ts', 'import {')).toThrow(/^a\.ts: /);
  });
});

describe('a callback', () => {
  const inPlace = 'function f(host: { onC: () => void }): void {}';

  test.each([
    ['interface A { onB(): void }', 'A'],
    ['export interface A { readonly onB?: () => void; c: number }', 'A'],
    ['export type A = { onB: ((c: string) => void) | null };', 'A'],
    ['type A = Partial<{ onB(): void }>;', 'A'],
    [inPlace, 'in place: a.ts'],
    [`type A = string; ${inPlace}`, 'in place: a.ts'],
  ])('%s', (source, name) => {
    const root = plant({ 'a.ts': source });
    expect(checkCallbacks(root, [name])).toEqual([]);
    expect(checkCallbacks(root, [])).toEqual([
      expect.stringMatching(/^a\.ts: .* hand over the object .*, return a value, or await/),
    ]);
  });

  test('is not what only sounds like one', () => {
    const source = 'interface A { on: B; once(): void; only: 1; one(onC: () => void): void }';
    expect(checkCallbacks(plant({ 'a.ts': source }), [])).toEqual([]);
  });

  test('that is gone leaves the list', () => {
    expect(checkCallbacks(plant({ 'a.ts': '' }), ['A'])).toEqual([
      'A has no callbacks any more: delete it from test/support/callbacks.ts',
    ]);
  });
});

describe('time and chance', () => {
  test.each([
    ['setTimeout(f, 1);', 'setTimeout'],
    ['const later = { setTimeout };', 'setTimeout'],
    ['globalThis.setInterval(f, 1);', 'setInterval'],
    ['this.#socket.setTimeout(1_000);', 'socket.setTimeout'],
    ['socket?.setTimeout(1_000);', 'socket.setTimeout'],
    ['setImmediate(f);', 'setImmediate'],
    [`global['queueMicrotask'](f);`, 'queueMicrotask'],
    ['const ms = performance.now();', 'performance'],
    ['const { now } = performance;', 'performance'],
    ['const ms = Date.now();', 'Date.now'],
    ['const ms = globalThis.Date?.now();', 'Date.now'],
    ['const { now } = Date;', 'Date'],
    ['const at = new Date();', 'new Date()'],
    ['const text = Date();', 'Date()'],
    ['const at = process.hrtime.bigint();', 'process.hrtime'],
    ['process.nextTick(f);', 'process.nextTick'],
    ['const signal = AbortSignal.timeout(1_000);', 'AbortSignal.timeout'],
    ['Atomics.waitAsync(array, 0, 0, 1_000);', 'Atomics.waitAsync'],
    ['const x = Math.random();', 'Math.random'],
    ['const x = Math[name]();', 'Math'],
    ['const { random } = Math;', 'Math'],
    ['const id = crypto.randomUUID();', 'crypto'],
    [`import { createHash, randomInt as any } from 'node:crypto';`, 'randomInt'],
    [`import { generateKeyPairSync } from 'crypto';`, 'generateKeyPairSync'],
    [`import * as lib from 'node:crypto';`, 'crypto'],
    ['const kept = new WeakRef(this);', 'WeakRef'],
    ['run({ clock: systemClock });', 'systemClock'],
    ['const { a = systemRandom } = parts;', 'systemRandom'],
  ])('%s', (source, what) => {
    const all = findAmbient('a.ts', source);
    expect(all.map((one) => one.what)).toContain(what);
    const root = plant({ 'a.ts': `\n${source}` });
    expect(checkAmbient(root, { 'a.ts': all.map((one) => one.what) })).toEqual([]);
    expect(checkAmbient(root, {})).toContain(
      `a.ts:2: ${what}: take a Clock (src/clock.ts) or a Random (src/random.ts) from whoever makes this`,
    );
  });

  test('are not what only sounds like them', () => {
    const source = `
      // setTimeout(f), Math.random()
      import { createHash, timingSafeEqual, verify } from 'node:crypto';
      import type { KeyObject, webcrypto } from 'node:crypto';
      const text = 'Date.now()';
      clock.now(); clock.setTimer(1, f); wheel.soon(f); random.number(); this.performance.now();
      const at = new Date(0), first = Math.max(1, Date.parse(text), Date.UTC(2026, 0));
      const isDate = at instanceof Date || signal.aborted;
      const o = { setImmediate: 1, crypto() {} };
      class A { performance = 1; Date() {} }
      interface B { setTimeout: number; signal: AbortSignal; kept: WeakRef<A> | null }
    `;
    expect(findAmbient('a.ts', source)).toEqual([]);
  });

  test('that are gone leave the list', () => {
    expect(checkAmbient(plant({ 'a.ts': '' }), { 'a.ts': ['Date.now'] })).toEqual([
      'a.ts has no Date.now any more: delete it from test/support/ambient.ts',
    ]);
  });
});
