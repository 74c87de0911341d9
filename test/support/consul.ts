/** A real Consul agent in dev mode: a server of its own, which keeps nothing on disk. */
import { freePort, type Running, start } from './process.ts';
import { eventually } from './wait.ts';

/** An entry of `/v1/health/service/<name>`. */
export type HealthEntry = {
  readonly Node: { readonly Address: string };
  readonly Service: {
    readonly ID: string;
    readonly Address: string;
    readonly Port: number;
    readonly Tags: readonly string[];
    readonly Meta: Readonly<Record<string, string>>;
  };
  readonly Checks: readonly {
    readonly CheckID: string;
    readonly Status: string;
    readonly Notes: string;
    readonly Output: string;
    readonly Type: string;
  }[];
};

export type TestConsul = AsyncDisposable & {
  /** host:port */
  readonly address: string;
  get<T>(path: string): Promise<T>;
  put(path: string, body?: unknown): Promise<void>;
  /** What there is of a service, healthy or not. */
  health(service: string): Promise<HealthEntry[]>;
  /** A service with a check that passes until `put` of `check/fail/service:<id>`. */
  register(name: string, id: string, port: number, weight?: number): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** On the same port; it has forgotten everything. */
  restart(): Promise<void>;
};

export async function startConsul(): Promise<TestConsul> {
  const [http, server, lan] = [await freePort(), await freePort(), await freePort()];
  const address = `127.0.0.1:${http}`;
  // Nothing but what is asked for here, and no question to the outside for a newer version.
  const config = `
    ports { http = ${http} server = ${server} serf_lan = ${lan} serf_wan = -1 dns = -1 grpc = -1 grpc_tls = -1 }
    connect { enabled = false }
    peering { enabled = false }
    ui_config { enabled = false }
    disable_update_check = true
    log_level = "INFO"`;
  const url = (path: string): string => `http://${address}/v1/${path}`;
  const get = async <T>(path: string): Promise<T> => (await (await fetch(url(path))).json()) as T;
  const put = async (path: string, body?: unknown): Promise<void> => {
    const answer = await fetch(url(path), {
      method: 'PUT',
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  };
  const launch = async (): Promise<Running> => {
    const running = await start('consul-agent', ['-dev', '-bind=127.0.0.1', '-hcl', config]);
    const isUp = async (): Promise<boolean> => {
      try {
        return (await get<unknown[]>('catalog/nodes')).length > 0;
      } catch {
        return false;
      }
    };
    await eventually(isUp, `a Consul that leads itself:\n${running.output()}`, 30_000);
    return running;
  };
  let agent = await launch();
  return {
    address,
    get,
    put,
    health: (service) => get(`health/service/${service}`),
    async register(name, id, port, weight = 1) {
      await put('agent/service/register', {
        ID: id,
        Name: name,
        Address: '127.0.0.1',
        Port: port,
        Weights: { Passing: weight, Warning: 1 },
        Check: { CheckID: `service:${id}`, TTL: '1h', Status: 'passing' },
      });
    },
    async kill() {
      agent.kill('SIGKILL');
      await agent.exited;
    },
    async restart() {
      agent = await launch();
    },
    async [Symbol.asyncDispose]() {
      await agent[Symbol.asyncDispose]();
    },
  };
}
