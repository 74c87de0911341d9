/** What is measured: how each system starts, and what of it can be measured. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { Mode } from './generator.ts';
import { BIN, NODE_PEERS, ROOT } from './install.ts';
import type { Stage } from './stage.ts';

const APPS = fileURLToPath(new URL('apps/', import.meta.url));

/**
 * What is measured of a system, in this order:
 *
 * - `memory`: resident at rest, and with idle connections, plain and with TLS; the time to the first answer
 * - `closed`: 1,000 connections with one request in flight, and 200 with ten
 * - `paced`: latencies at 30, 50 and 80 % of its peak
 * - `hop`: latencies at the rate that is half of a Pith's peak, to compare with
 * - `slow`: its backend answers after 20 ms
 * - `cast`: a broadcast to 1,000
 * - `sip`: every tenth client reads slowly
 * - `hung`: every tenth client asks a second backend, which is stopped
 */
export type Measure = 'memory' | 'closed' | 'paced' | 'hop' | 'slow' | 'cast' | 'sip' | 'hung';

const ALL: readonly Measure[] = ['memory', 'closed', 'paced', 'slow', 'cast', 'sip', 'hung'];
const VARIANT: readonly Measure[] = ['closed', 'slow', 'hung'];
const FLOOR: readonly Measure[] = ['memory', 'closed', 'paced', 'hop', 'sip'];

/** A route, or why there is none. */
type Route = string | { readonly none: string };

export type System = {
  readonly name: string;
  /** Front → backend. */
  readonly what: string;
  /** Keys of `versions` in install.ts. */
  readonly versions: readonly string[];
  /** Parts of install.ts. */
  readonly needs: readonly string[];
  readonly mode: Mode;
  readonly path?: string;
  readonly echo: string;
  readonly slow: Route;
  readonly hung: Route;
  readonly cast: Route;
  /** Asked once by each connection before a cast. */
  readonly join?: string;
  /** Absent: it has TLS. */
  readonly noTls?: string;
  readonly measures: readonly Measure[];
  /** It differs from another by a setting, and is measured in as few rounds as `memory`. */
  readonly isVariant?: boolean;
  /** Seconds that its start takes, for the plan. */
  readonly startSeconds: number;
  start(stage: Stage): Promise<void>;
};

async function startNats(stage: Stage): Promise<string> {
  const port = await stage.freePort();
  const args = ['-a', '127.0.0.1', '-p', String(port)];
  await stage.other('nats-server', args, { ready: /Server is ready/ });
  return `127.0.0.1:${port}`;
}

// --- Pith

async function pithBackend(stage: Stage, args: readonly string[]): Promise<string> {
  const running = await stage.other(join(BIN, 'bench-pith'), args);
  return (await running.waitFor(/listening on (\S+)/))[1]!;
}

async function startPith(stage: Stage, scheme: 'ws' | 'tcp', way: 'link' | 'nats'): Promise<void> {
  let bus = '';
  let echo = '{ nats: {} }';
  let other = '{ nats: {} }';
  const nats = way === 'nats' ? await startNats(stage) : '';
  const args = (subject: string): string[] =>
    nats === '' ? [] : ['-nats', `nats://${nats}`, '-subject', subject];
  const one = await pithBackend(stage, args('area'));
  const two = await pithBackend(stage, args('other'));
  stage.hung.push(stage.others.at(-1)!);
  if (way === 'nats') bus = `bus: nats://${nats}`;
  else {
    echo = `{ grpc: "${one}" }`;
    other = `{ grpc: "${two}" }`;
  }
  const url = `${stage.tls ? `${scheme}s` : scheme}://127.0.0.1:${stage.port}`;
  const tls = stage.tls ? `, tls: { cert: "${stage.tls.cert}", key: "${stage.tls.key}" }` : '';
  const file = join(stage.dir, 'pith.yaml');
  writeFileSync(
    file,
    `listen: [{ url: "${url}"${tls} }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
${bus}
backends: { echo: ${echo}, other: ${other} }
routes: [{ match: "area.>", backend: echo }, { match: "other.>", backend: other }]
limits: { messages_per_second: 1000000, burst: 1000000 }
log: { level: info }
`,
  );
  await stage.frontend(process.execPath, [join(ROOT, 'dist/pith.js'), 'serve', '--config', file]);
}

const POMELO_ROUTES = {
  echo: 'area.echoHandler.echo',
  slow: 'area.echoHandler.slow',
  hung: 'other.echoHandler.echo',
  join: 'area.echoHandler.join',
  cast: 'area.echoHandler.cast',
} as const;

function pith(scheme: 'ws' | 'tcp', way: 'link' | 'nats', measures: readonly Measure[]): System {
  return {
    name: `pith-${way}-${scheme}`,
    what: `Pith, ${scheme === 'ws' ? 'WebSocket' : 'TCP'} → ${way === 'link' ? 'Link' : 'NATS'} → Go`,
    versions: way === 'nats' ? ['nats'] : ['grpc'],
    needs: way === 'nats' ? ['pith', 'nats-server'] : ['pith'],
    mode: scheme === 'ws' ? 'pomelo' : 'pomelo-tcp',
    ...POMELO_ROUTES,
    measures,
    startSeconds: 1,
    start: (stage) => startPith(stage, scheme, way),
  };
}

// --- Pitaya

async function startPitaya(
  stage: Stage,
  flags: { front: string[]; back: string[] },
): Promise<void> {
  const [etcd, peer] = [await stage.freePort(), await stage.freePort()];
  const nats = await startNats(stage);
  const files = ['-dir', join(stage.dir, 'etcd')];
  await stage.other(
    join(BIN, 'bench-etcd'),
    ['-client', `127.0.0.1:${etcd}`, '-peer', `127.0.0.1:${peer}`, ...files],
    { ready: /listening/ },
  );
  const program = join(BIN, 'bench-pitaya');
  const common = ['-nats', `nats://${nats}`, '-etcd', `127.0.0.1:${etcd}`];
  await stage.other(program, [...common, ...flags.back]);
  await stage.hangs(program, ['-type', 'other', ...common]);
  const address = ['-ws', `127.0.0.1:${stage.port}`];
  const role = ['-frontend', '-type', 'connector'];
  await stage.frontend(program, [...role, ...address, ...common, ...flags.front]);
}

function pitaya(
  name: string,
  what: string,
  measures: readonly Measure[],
  flags: { front: string[]; back: string[] },
): System {
  return {
    name,
    what,
    versions: ['pitaya', 'nats', 'etcd'],
    needs: ['pitaya', 'etcd', 'nats-server'],
    mode: 'pomelo',
    echo: 'room.echo.echo',
    slow: 'room.echo.slow',
    hung: 'other.echo.echo',
    join: 'room.echo.join',
    cast: 'room.echo.cast',
    noTls: 'its WSS acceptor never reports that it runs, and its start waits for that',
    measures,
    isVariant: measures === VARIANT,
    startSeconds: 2,
    start: (stage) => startPitaya(stage, flags),
  };
}

// --- Nano

async function startNano(stage: Stage, flags: readonly string[]): Promise<void> {
  const ports: number[] = [];
  for (let i = 0; i < 4; i++) ports.push(await stage.freePort());
  const [master, gate, echo, other] = ports.map((port) => `127.0.0.1:${port}`);
  const program = join(BIN, 'bench-nano');
  const common = ['-master', master!];
  await stage.other(program, [...common, '-role', 'master', '-listen', master!], {
    port: ports[0]!,
  });
  const backend = ['-role', 'echo', ...common];
  await stage.other(program, [...backend, '-listen', echo!, ...flags], { port: ports[2]! });
  await stage.hangs(program, [...backend, '-name', 'Other', '-listen', other!, ...flags], {
    port: ports[3]!,
  });
  const tls = stage.tls ? ['-cert', stage.tls.cert, '-key', stage.tls.key] : [];
  const listen = ['-listen', gate!, '-client', `127.0.0.1:${stage.port}`];
  await stage.frontend(program, ['-role', 'gate', ...common, ...listen, ...tls]);
}

function nano(name: string, what: string, flags: readonly string[]): System {
  return {
    name,
    what,
    versions: ['nano'],
    needs: ['nano'],
    mode: 'pomelo',
    echo: 'Echo.Echo',
    slow: 'Echo.Slow',
    hung: 'Other.Echo',
    join: 'Echo.Join',
    cast: 'Echo.Cast',
    measures: flags.length === 0 ? ALL : VARIANT,
    isVariant: flags.length > 0,
    startSeconds: 1,
    start: (stage) => startNano(stage, flags),
  };
}

// --- Centrifugo, AnyCable

async function startCentrifugo(stage: Stage): Promise<void> {
  const [api, one, two] = [await stage.freePort(), await stage.freePort(), await stage.freePort()];
  const backend = ['-serve', 'centrifugo', '-api', `127.0.0.1:${api}`];
  const program = join(BIN, 'bench-rpc');
  const ready = { ready: /listening/ };
  await stage.other(program, [...backend, '-listen', `127.0.0.1:${one}`], ready);
  await stage.hangs(program, [...backend, '-listen', `127.0.0.1:${two}`], ready);
  const config = {
    http_server: {
      address: '127.0.0.1',
      port: String(stage.port),
      ...(stage.tls && {
        tls: { enabled: true, cert_pem: stage.tls.cert, key_pem: stage.tls.key },
      }),
    },
    grpc_api: { enabled: true, address: '127.0.0.1', port: api },
    client: { allow_anonymous_connect_without_token: true },
    channel: {
      without_namespace: {
        allow_subscribe_for_client: true,
        allow_subscribe_for_anonymous: true,
      },
    },
    proxies: [{ name: 'other', endpoint: `grpc://127.0.0.1:${two}`, timeout: '5s' }],
    rpc: {
      proxy: { endpoint: `grpc://127.0.0.1:${one}`, timeout: '5s' },
      without_namespace: { proxy_enabled: true },
      namespaces: [{ name: 'other', proxy_enabled: true, proxy_name: 'other' }],
    },
    log: { level: 'error' },
    usage_stats: { enabled: false },
  };
  const file = join(stage.dir, 'centrifugo.json');
  writeFileSync(file, JSON.stringify(config));
  await stage.frontend(join(BIN, 'centrifugo'), ['-c', file]);
}

const CENTRIFUGO: System = {
  name: 'centrifugo-ws',
  what: 'Centrifugo, JSON protocol → RPC proxy over gRPC → Go',
  versions: ['centrifugo', 'grpc'],
  needs: ['centrifugo', 'rpc'],
  mode: 'centrifugo',
  path: '/connection/websocket',
  echo: 'echo',
  slow: 'slow',
  hung: 'other:echo',
  join: 'subscribe',
  cast: 'cast',
  measures: ALL,
  startSeconds: 1,
  start: startCentrifugo,
};

const ANYCABLE: System = {
  name: 'anycable-ws',
  what: 'AnyCable-Go, Action Cable JSON → its RPC over gRPC → Go',
  versions: ['anycable', 'grpc'],
  needs: ['anycable', 'rpc'],
  mode: 'cable',
  path: '/cable',
  echo: 'echo',
  slow: 'slow',
  hung: { none: 'it has one RPC address for all' },
  cast: 'cast',
  measures: ALL,
  startSeconds: 1,
  async start(stage) {
    const port = await stage.freePort();
    const broadcasts = await stage.freePort();
    const backend = ['-serve', 'anycable', '-api', `127.0.0.1:${broadcasts}`];
    await stage.other(join(BIN, 'bench-rpc'), [...backend, '-listen', `127.0.0.1:${port}`], {
      ready: /listening/,
    });
    const tls = stage.tls ? [`--ssl_cert=${stage.tls.cert}`, `--ssl_key=${stage.tls.key}`] : [];
    await stage.frontend(
      join(BIN, 'anycable-go'),
      [
        ...['--host=127.0.0.1', `--port=${stage.port}`, `--rpc_host=127.0.0.1:${port}`],
        ...['--broadcast_adapter=http', `--http_broadcast_port=${broadcasts}`],
        ...['--log_level=error', ...tls],
      ],
      { env: { ANYCABLE_DISABLE_TELEMETRY: 'true' } },
    );
  },
};

// --- Pinus, Pomelo

/** The servers that their master has started, by type. */
async function serversOf(master: number): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (let tries = 0; tries < 1_500; tries++) {
    for (const task of readdirSync(`/proc/${master}/task`)) {
      const pids = readFileSync(`/proc/${master}/task/${task}/children`, 'utf8').split(' ');
      for (const pid of pids.filter(Boolean)) {
        const command = commandOf(pid);
        for (const type of ['connector', 'area', 'other'])
          if (command.includes(`id=${type}-server-1`)) found[type] = Number(pid);
      }
    }
    if (Object.keys(found).length === 3) return found;
    await sleep(20);
  }
  throw new Error('the master has not started its servers');
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function original(name: 'pomelo' | 'pinus', title: string): System {
  return {
    name: `${name}-ws`,
    what: `${title}: connector → area`,
    versions: [name],
    needs: ['node'],
    mode: 'pomelo',
    ...POMELO_ROUTES,
    measures: ALL,
    startSeconds: 2.5,
    async start(stage) {
      const folder = join(NODE_PEERS, name);
      const server = async (type: string): Promise<object> => ({
        id: `${type}-server-1`,
        host: '127.0.0.1',
        port: await stage.freePort(),
      });
      const config = (file: string, development: object): void =>
        writeFileSync(join(folder, 'config', file), JSON.stringify({ development }));
      config('master.json', { ...(await server('master')) });
      const front = { clientHost: '127.0.0.1', clientPort: stage.port, frontend: true };
      config('servers.json', {
        connector: [{ ...(await server('connector')), ...front }],
        area: [await server('area')],
        other: [await server('other')],
      });
      const tls = stage.tls && { BENCH_CERT: stage.tls.cert, BENCH_KEY: stage.tls.key };
      const master = await stage.frontend(process.execPath, ['app.js'], {
        cwd: folder,
        env: { NODE_ENV: 'development', NODE_OPTIONS: '--no-deprecation', ...tls },
      });
      const servers = await serversOf(master.pid);
      stage.adopt(Object.values(servers));
      stage.front = servers['connector']!;
      stage.others.push(servers['area']!, servers['other']!, master.pid);
      stage.hung.push(servers['other']!);
    },
  };
}

// --- floors

const NO_BACKEND = { none: 'it has no backend' };

const WS_FLOOR: System = {
  name: 'ws-floor',
  what: 'bare ws echo, no backend',
  versions: ['ws'],
  needs: [],
  mode: 'echo',
  echo: 'area.echoHandler.echo',
  slow: NO_BACKEND,
  hung: NO_BACKEND,
  cast: { none: 'see ws-floor-cast' },
  measures: FLOOR,
  startSeconds: 0.5,
  async start(stage) {
    const tls = stage.tls ? [stage.tls.cert, stage.tls.key] : [];
    const args = [join(APPS, 'floor.mjs'), String(stage.port), ...tls];
    await stage.frontend(process.execPath, args, { cwd: ROOT });
  },
};

const CAST_FLOOR: System = {
  ...WS_FLOOR,
  name: 'ws-floor-cast',
  what: 'bare ws, each message to all as one shared frame',
  cast: 'cast',
  measures: ['cast'],
  async start(stage) {
    const args = [join(APPS, 'cast.mjs'), String(stage.port)];
    await stage.frontend(process.execPath, args, { cwd: ROOT });
  },
};

const GO_FLOOR: System = {
  ...WS_FLOOR,
  name: 'go-floor',
  what: 'gorilla/websocket echo in Go, no backend',
  versions: ['gorilla'],
  needs: ['goecho'],
  measures: FLOOR.filter((one) => one !== 'sip'),
  cast: { none: 'only an echo' },
  async start(stage) {
    const tls = stage.tls ? ['-cert', stage.tls.cert, '-key', stage.tls.key] : [];
    const args = ['-listen', `127.0.0.1:${stage.port}`, ...tls];
    await stage.frontend(join(BIN, 'bench-goecho'), args);
  },
};

/** What Pith adds to is the backend itself: the generator asks it on NATS, without a gateway. */
const NATS_DIRECT: System = {
  ...WS_FLOOR,
  name: 'nats-direct',
  what: "Pith's Go backend on NATS, asked without a gateway",
  versions: ['nats'],
  needs: ['pith', 'nats-server'],
  mode: 'nats',
  measures: ['hop'],
  async start(stage) {
    const args = ['-a', '127.0.0.1', '-p', String(stage.port)];
    const server = await stage.frontend('nats-server', args);
    await server.waitFor(/Server is ready/);
    await stage.other(join(BIN, 'bench-pith'), ['-nats', `nats://127.0.0.1:${stage.port}`], {
      ready: /listening/,
    });
  },
};

/** What the libraries alone come to between a WebSocket and the same backend: a gateway without any feature. */
function relay(way: 'link' | 'nats'): System {
  return {
    ...WS_FLOOR,
    name: `relay-${way}-ws`,
    what: `bare ws → ${way === 'link' ? 'one gRPC stream' : 'NATS'} → Go, no gateway between`,
    versions: way === 'link' ? ['ws', 'grpc'] : ['ws', 'nats'],
    needs: way === 'link' ? ['pith'] : ['pith', 'nats-server'],
    mode: 'pomelo',
    measures: ['hop'],
    async start(stage) {
      const nats = way === 'nats' ? `nats://${await startNats(stage)}` : '';
      const backend = await pithBackend(stage, nats === '' ? [] : ['-nats', nats]);
      const to = nats === '' ? `--link=${backend}` : `--nats=${nats}`;
      const program = join(ROOT, 'test/bench/relay.mjs');
      await stage.frontend(process.execPath, [program, to, `--port=${stage.port}`], { cwd: ROOT });
    },
  };
}

/** In the order of the first round, in which the peaks are found: Pith's are needed for the floors'. */
export const SYSTEMS: readonly System[] = [
  pith('ws', 'link', ALL),
  pith('tcp', 'link', ['closed', 'paced', 'cast']),
  pith('ws', 'nats', ALL),
  pitaya('pitaya-ws', 'Pitaya, frontend → NATS → Go', ALL, { front: [], back: [] }),
  pitaya('pitaya-ws-dispatch1000', 'Pitaya with 1,000 dispatchers', VARIANT, {
    front: ['-dispatch', '1000'],
    back: ['-buffer', '10000', '-services', '1000'],
  }),
  nano('nano-ws', 'Nano, gate → gRPC → Go, as documented', []),
  nano('nano-ws-async', 'Nano, handlers that do not wait', ['-async']),
  CENTRIFUGO,
  ANYCABLE,
  original('pinus', 'Pinus'),
  original('pomelo', 'Pomelo'),
  WS_FLOOR,
  CAST_FLOOR,
  GO_FLOOR,
  relay('link'),
  relay('nats'),
  NATS_DIRECT,
];
