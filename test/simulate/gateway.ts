/** A real gateway, the whole of it, on a simulated process: only what touches the machine is not real. */
import type { FleetCommands } from '../../src/bus/fleet-commands.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import type { Config } from '../../src/config/schema.ts';
import { Attach } from '../../src/control/attach.ts';
import type { ReloadOutcome } from '../../src/control/gateway-methods.ts';
import { Gateway } from '../../src/gateway.ts';
import type { Log } from '../../src/telemetry/log.ts';
import type { Accept } from '../../src/transport/transport.ts';
import type { DialNats } from '../../src/upstream/nats/nats-connection.ts';
import { resolverOf } from '../../src/upstream/pool/resolver.ts';
import type { ControlParts, ControlPorts } from '../../src/wiring/control.ts';
import { makeKinds } from '../../src/wiring/kinds.ts';
import type { Network as SystemNetwork } from '../../src/wiring/network.ts';
import { serveAttach } from './backends/attach-pipe.ts';
import type { End } from './channel.ts';
import type { Network } from './network.ts';
import { CLOSE_REASONS } from '../../src/session/close-reason.ts';
import { ClientConnection } from './sockets.ts';
import { Node, type World } from './world.ts';

export type GatewayLine = { readonly level: string; readonly msg: string; readonly fields: object };

export type GatewayOptions = {
  readonly world: World;
  readonly network: Network;
  /** `g1`. */
  readonly place: string;
  /** Which process it is there, from 1. */
  readonly generation: number;
  readonly yaml: string;
  readonly dialNats: (node: Node) => DialNats;
  readonly connectGrpc: (node: Node) => SystemNetwork['connectGrpc'];
  /** A backend attaches here. */
  readonly onLog: (gateway: SimGateway, line: GatewayLine) => void;
};

const RESOURCES = { memoryBytes: 2 ** 31, descriptors: 6_000 } as const;
const CONFIGS = new Map<string, Config>();

const KINDS = makeKinds();
// Nothing may be waited for once time is virtual.
await KINDS.need('busApi');
await KINDS.load(
  configOf('bus: nats://127.0.0.1:1\nbackends: { a: { grpc: "127.0.0.1:1" }, b: { dial_in: {} } }'),
);

export class SimGateway {
  readonly node: Node;
  readonly gateway: Gateway;
  readonly place: string;
  readonly config: Config;
  /** Connections that its listener has taken. */
  accepted = 0;
  fleetCommands!: FleetCommands;
  readonly #network: Network;
  #accept: Accept | null = null;
  readonly #listening: (() => void)[] = [];
  /** As a reload reads it. */
  #next: Config;

  constructor(options: GatewayOptions) {
    const { world, network, place, generation } = options;
    this.place = place;
    this.#network = network;
    this.node = new Node(world, `${place}#${generation}`);
    this.config = configOf(options.yaml);
    this.#next = this.config;
    this.gateway = new Gateway({
      config: this.config,
      readConfig: () => Promise.resolve({ config: this.#next }),
      clock: this.node.clock,
      random: this.node.random,
      network: {
        resolverOf,
        dialNats: options.dialNats(this.node),
        connectGrpc: options.connectGrpc(this.node),
        makeListener: (_options, { accept, mayAccept }) => this.#makeListener(accept, mayAccept),
        makeControlPorts: (parts) => this.#makeControlPorts(parts),
      },
      kinds: KINDS,
      log: makeLog((line) => {
        options.onLog(this, line);
      }),
      version: '1.0.0',
      nodeVersion: 'v24.0.0',
      resources: RESOURCES,
    });
  }

  /** As clients name it. */
  get address(): string {
    return this.place;
  }

  get isReady(): boolean {
    return !this.node.isDead && this.gateway.notReady().length === 0;
  }

  /** Another configuration, as if its file had changed. */
  reload(yaml: string): Promise<ReloadOutcome> {
    this.#next = configOf(yaml);
    return this.gateway.reload('a file has changed');
  }

  /** A count from its metrics. */
  count(name: Parameters<Gateway['metrics']['count']>[0], ...labels: string[]): number {
    return this.gateway.metrics.count(name, labels);
  }

  /** Sessions that have ended, by its metrics. */
  closed(): number {
    let sum = 0;
    for (const reason of Object.keys(CLOSE_REASONS))
      sum += this.count('pith_sessions_closed_total', reason);
    return sum;
  }

  /** Value of a gauge, as it is scraped. */
  gauge(name: string): number {
    const text = this.gateway.metrics.render();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)![1]);
  }

  #makeListener(
    accept: Accept,
    mayAccept: () => boolean,
  ): ReturnType<SystemNetwork['makeListener']> {
    const stop = (): void => {
      for (const close of this.#listening.splice(0)) close();
    };
    return {
      url: `auto://${this.place}:3010`,
      waiting: 0,
      certificateExpiresAt: null,
      listen: () => {
        this.#accept = accept;
        for (const transport of ['ws', 'tcp'] as const)
          this.#listening.push(
            this.#network.listen<Buffer>(this.node, `${this.place}/${transport}`, (end) => {
              this.#take(end, transport, mayAccept);
            }),
          );
        return Promise.resolve();
      },
      reloadCertificate: () => {},
      stopAccepting: stop,
      close: stop,
    };
  }

  #take(end: End, transport: 'ws' | 'tcp', mayAccept: () => boolean): void {
    if (!mayAccept()) {
      end.destroy('full');
      return;
    }
    this.accepted++;
    ClientConnection.open(end, transport, this.#accept!);
  }

  #makeControlPorts(parts: ControlParts): ControlPorts {
    this.fleetCommands = parts.fleetCommands;
    const attach = new Attach(() => parts.backends.dialIn, {
      ...parts,
      convertBytesMax: parts.config.limits.convert,
    });
    const port = {
      port: 0,
      listen: () => Promise.resolve(),
      close: () => Promise.resolve(),
      certificateExpiresAt: null,
      reloadCertificate: () => {},
    };
    let stop = (): void => {};
    return {
      control: {
        ...port,
        setServing: () => {},
        listen: () => {
          stop = serveAttach(this.#network, this.node, `${this.place}/attach`, attach);
          return Promise.resolve();
        },
        close: () => {
          stop();
          attach.close();
          return Promise.resolve();
        },
      },
      admin: port,
      health: port,
    };
  }
}

function configOf(yaml: string): Config {
  const known = CONFIGS.get(yaml);
  if (known !== undefined) return known;
  const result = loadConfig({ text: yaml, file: 'simulation.yaml', env: {} });
  if ('problems' in result) throw new Error(result.problems.map(formatProblem).join('\n'));
  CONFIGS.set(yaml, result.config);
  return result.config;
}

/** Takes lines of `info` and above. */
function makeLog(take: (line: GatewayLine) => void): Log {
  const at =
    (level: string) =>
    (fields: unknown, msg?: string): void => {
      if (typeof fields === 'string') take({ level, msg: fields, fields: {} });
      else take({ level, msg: msg ?? '', fields: (fields ?? {}) as object });
    };
  const log = {
    level: 'info',
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
    debug: () => {},
    trace: () => {},
    isLevelEnabled: (level: string) => level !== 'debug' && level !== 'trace',
    child: () => log,
  };
  return log as unknown as Log;
}
