/** The reference: it is what the gateway runs on, and the pages in deploy/reference are up to date. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { writeDocs } from '../../../src/cli/docs.ts';
import { COMMAND_NAMES } from '../../../src/cli/commands.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { listKeys } from '../../../src/config/schema-tree.ts';
import { contractFiles } from '../../../src/control/contract-files.ts';
import { METHOD_RULES } from '../../../src/control/roles.ts';
import { REASONS } from '../../../src/errors.ts';
import { CLOSE_REASONS } from '../../../src/session/close-reason.ts';
import { REFUSALS } from '../../../src/transport/refused.ts';
import { INSTRUMENTS } from '../../../src/telemetry/instruments.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const FOLDER = join(ROOT, 'deploy/reference');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

test('deploy/reference is up to date: if it is not, run make docs', () => {
  expect(writeDocs({ folder: 'deploy/reference', isCheck: true }, ROOT)).toMatchObject({ err: '' });
});

test('nothing else is in that folder', () => {
  expect(readdirSync(FOLDER)).toHaveLength(9);
});

/** First cells of the tables' rows, without backticks and marks. */
function firstCells(name: string): Set<string> {
  return new Set([...read(name).matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell!));
}

describe('has a row for every', () => {
  test.each<readonly [what: string, page: string, names: () => readonly string[]]>([
    ['key', 'configuration.md', () => listKeys(configSchema).map(({ path }) => path)],
    ['metric', 'metrics.md', () => Object.keys(INSTRUMENTS)],
    ['error', 'errors.md', () => Object.keys(REASONS)],
    ['close reason', 'errors.md', () => Object.keys(CLOSE_REASONS)],
    ['refused connection', 'errors.md', () => Object.keys(REFUSALS)],
    ['method of Control', 'control.md', () => Object.keys(METHOD_RULES)],
  ])('%s', (_what, page, names) => {
    expect([...new Set(names())].filter((name) => !firstCells(page).has(name))).toEqual([]);
    expect(names().length).toBeGreaterThan(20);
  });

  test('command', () => {
    const headings = [...read('commands.md').matchAll(/^## (.+)$/gm)].map(([, name]) => name);
    expect(headings).toEqual(COMMAND_NAMES);
  });

  test('event', () => {
    for (const { name } of contractFiles().getFile('pith/v1/event.proto')!.messages)
      expect(read('events.md')).toContain(`\n## ${name}\n`);
    expect(read('events.md')).toContain('\n## ClosedEvent\n');
  });
});

describe('says', () => {
  // oxfmt-ignore
  test.each<readonly [what: string, page: string, line: string]>([
    ['range and default of a size', 'configuration.md', '| `limits.packet` | size, 64B to 16777215B | `64KiB` | '],
    ['what a reload applies', 'configuration.md', '| `limits.slow.drop_after` ↻ | duration, 1ms to 24h | `2s` | '],
    ['what is off at 0', 'configuration.md', '| `sessions.resume.window` | duration, 1s to 24h, or 0s | `0s` | '],
    ['what is auto', 'configuration.md', '| `limits.outboxes` | `auto` or size, 1KiB to 1048576MiB | `auto` | '],
    ['the words of a choice', 'configuration.md', '| `auth.mode` | `none`, `jwt`, `connect` | `none` | '],
    ['what is secret', 'configuration.md', '| `control.token` ↻ | text, secret | `""` | '],
    ['what a path is', 'configuration.md', '| `blocks.file` ↻ | path | `""` | '],
    ['numbers in a map', 'configuration.md', '| `backends.<name>.weights` ↻ | map of whole numbers, 1 to 1000 | `{}` | '],
    ['that a key has no default', 'configuration.md', '| `routes[].match` ↻ | text |  | Which routes: '],
    ['the labels of a metric', 'metrics.md', '| `pith_requests_total` | counter | `backend`, `outcome` | Messages relayed, by outcome. |'],
    ['its buckets', 'metrics.md', ' Buckets: 0.001, 0.0025, '],
    ['codes, levels and texts of errors', 'errors.md', '| `NO_ROUTE` | 404 | NOT_FOUND | debug | no such route |'],
    ['how a session ends', 'errors.md', '| `blocked` | 1008 | `blocked` | info | Its address, uid or kind of client is on the block list. |'],
    ['who may call a method', 'control.md', '| `GetInfo` | [GetInfoRequest](#getinforequest) | [Info](#info) | read |  | What this gateway is, '],
    ['what is a stream', 'control.md', '| `PushMany` | many [PushRequest](#pushrequest) | [PushResult](#pushresult) | write | counted | '],
    ['the alternatives of a field', 'control.md', '| `text` | string | UTF-8. At most one of bytes, json, text. |'],
    ['what an event is', 'events.md', 'pith.event.session.bound: the session has got a uid.'],
    ['what a field of it is', 'events.md', '| `last_heard` | Timestamp | By the clock of the gateway that says it. |'],
    ['what a command takes', 'commands.md', 'pith serve [FILE] [--live FILE] '],
  ])('%s', (_what, page, line) => {
    expect(read(page)).toContain(line);
  });
});

test('every link leads somewhere', () => {
  const slug = (title: string): string =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  const broken = readdirSync(FOLDER).flatMap((name) => {
    if (name.endsWith('.json')) return [];
    return [...read(name).matchAll(/\]\(([^)]*)\)/g)].flatMap(([, link]) => {
      const [file = '', hash] = link!.split('#');
      const path = file === '' ? join(FOLDER, name) : join(FOLDER, file);
      if (!existsSync(path)) return [`${name}: ${link}`];
      if (hash === undefined) return [];
      const titles = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map((one) =>
        slug(one[1]!),
      );
      return titles.includes(hash) ? [] : [`${name}: ${link}`];
    });
  });
  expect(broken).toEqual([]);
  expect(dirname(FOLDER)).toBe(join(ROOT, 'deploy'));
});

describe('openapi.json', () => {
  const document = JSON.parse(read('openapi.json')) as {
    openapi: string;
    paths: Record<string, { post: Record<string, unknown> }>;
    components: { schemas: Record<string, Record<string, unknown>> };
  };

  test('has every method, and who may call it', () => {
    expect(document.openapi).toBe('3.1.1');
    const roles = Object.entries(document.paths).map(([path, { post }]) => [
      path,
      post['x-pith-role'],
    ]);
    const expected = Object.entries(METHOD_RULES).map(([name, { role }]) => [`/v1/${name}`, role]);
    expect(Object.fromEntries(roles)).toEqual(Object.fromEntries(expected));
  });

  test('knows the JSON forms of protobuf', () => {
    const { schemas } = document.components;
    expect(schemas['Session']).toMatchObject({
      properties: {
        sid: { type: 'string' },
        version: { type: 'string', format: 'uint64' },
        groups: { type: 'array', items: { type: 'string' } },
        data: { type: 'object', additionalProperties: true },
        bound_at: { type: 'string', format: 'date-time' },
      },
    });
    expect(schemas['GetPresenceResponse']).toMatchObject({
      properties: {
        presence: {
          type: 'object',
          additionalProperties: { $ref: '#/components/schemas/GetPresenceResponse.Presence' },
        },
      },
    });
    expect(schemas['Body']).toMatchObject({
      properties: { bytes: { type: 'string', contentEncoding: 'base64' } },
      allOf: [
        {
          not: {
            anyOf: [
              { required: ['bytes', 'json'] },
              { required: ['bytes', 'text'] },
              { required: ['json', 'text'] },
            ],
          },
        },
      ],
    });
    expect(schemas['Error']).toMatchObject({ properties: { retry_after: { type: 'string' } } });
    expect(schemas['Failure']).toMatchObject({ required: ['error'] });
  });
});
