/** deploy/reference/openapi.json, by a library that knows OpenAPI, and against what a gateway really answers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { run } from '../support/process.ts';
import { installPythonWith } from '../support/python.ts';
import { ROOT } from '../support/serve.ts';

const tools = join(ROOT, 'test/tools');
const document = JSON.parse(readFileSync(join(ROOT, 'deploy/reference/openapi.json'), 'utf8')) as {
  paths: Record<string, { post: { 'x-pith-role': string } }>;
};

type Sample = { readonly schema: string; readonly value: unknown };

const NO_PYTHON = 'there is no Python 3.9 with venv and pip';
let python: string | null;

beforeAll(async () => {
  python = await installPythonWith(join(tools, 'openapi-requirements.txt'));
});

type Asked = { readonly document: object; readonly samples: readonly Sample[] };

/** What a Python library finds wrong in each. */
async function problemsOf(asked: readonly Asked[]): Promise<string[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'pith-openapi-'));
  try {
    const file = join(folder, 'asked.json');
    writeFileSync(file, JSON.stringify(asked));
    const { code, output } = await run(python!, [join(tools, 'openapi-check.py'), file]);
    expect(code, output).toBe(0);
    return JSON.parse(output) as string[][];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the document is valid, and so are the answers of a gateway', async (ctx) => {
  if (python === null) return ctx.skip(NO_PYTHON);
  await using gateway = await startGateway(`
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: gate }]`);
  await using _client = await TestClient.connect(gateway.port);
  const [session] = [...gateway.gateway.registry.all()];
  const { sid } = session!;
  const samples: Sample[] = [];
  /** Calls it, and keeps request and answer by the names of their schemas. */
  async function call(method: string, takes: string, gives: string, value: object): Promise<void> {
    samples.push({ schema: takes, value });
    const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/v1/${method}`, {
      method: 'POST',
      body: JSON.stringify(value),
    });
    const lines = (await answer.text()).trimEnd().split('\n').filter(Boolean);
    samples.push(...lines.map((line) => ({ schema: gives, value: JSON.parse(line) as unknown })));
  }
  await call('Bind', 'BindRequest', 'Session', { sid, uid: 'ann' });
  await call('SetData', 'SetDataRequest', 'Session', { sid, set: { level: 7, room: 'r1' } });
  await call('Join', 'GroupRequest', 'GroupResult', {
    target: { sids: [sid] },
    groups: ['g'],
    ttl: '60s',
  });
  await call('GetSession', 'GetSessionRequest', 'Session', { sid });
  await call('ListSessions', 'ListSessionsRequest', 'Session', {
    target: { all: true },
    limit: 10,
  });
  await call('ListGroups', 'ListGroupsRequest', 'Group', {});
  await call('GetPresence', 'GetPresenceRequest', 'GetPresenceResponse', { uids: ['ann', 'bob'] });
  await call('Push', 'PushRequest', 'PushResult', {
    push: { target: { uids: ['ann'] }, route: 'onChat', body: { json: { msg: 'hi' } } },
    wait: '0.100s',
  });
  await call('Call', 'CallRequest', 'Reply', { sid, route: 'gate.a.b', body: { bytes: 'e30=' } });
  await call('Block', 'BlockRequest', 'BlockResult', { uid: 'bob', expires_in: '60s' });
  await call('ListBlocks', 'ListBlocksRequest', 'BlockInfo', {});
  await call('GetMaintenance', 'GetMaintenanceRequest', 'MaintenanceState', {});
  await call('ExplainRoute', 'ExplainRouteRequest', 'ExplainRouteResponse', { route: 'gate.a.b' });
  await call('GetConfig', 'GetConfigRequest', 'GetConfigResponse', {});
  await call('GetInfo', 'GetInfoRequest', 'Info', {});
  await call('Kick', 'KickRequest', 'KickResult', { target: { uids: ['ann'] } });
  await call('GetSession', 'GetSessionRequest', 'Failure', { sid: 'gone.1' });
  expect(samples.length).toBeGreaterThanOrEqual(34);
  const [problems, problemsOfWrong] = await problemsOf([{ document, samples }, wrongOne()]);
  expect(problems).toEqual([]);
  // The check itself would see a name that is there twice, and values that do not fit.
  for (const what of ['Kick', 'Session', 'Body'])
    expect(problemsOfWrong!.filter((one) => one.includes(what))).toHaveLength(1);
});

function wrongOne(): Asked {
  const wrong = structuredClone(document);
  Object.assign(wrong.paths['/v1/Push']!.post, { operationId: 'Kick' });
  const samples = [
    { schema: 'Session', value: { sid: 7 } },
    { schema: 'Body', value: { text: 'a', json: {} } },
  ];
  return { document: wrong, samples };
}
