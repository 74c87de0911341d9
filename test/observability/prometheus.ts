/** A real Prometheus with the rules of deploy/observability, in which minutes are seconds. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort, start } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

export const OBSERVABILITY = join(ROOT, 'deploy/observability');

export type Alert = {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
};

export type Prometheus = AsyncDisposable & {
  readonly url: string;
  /** Scrapes these, each `host:port`, and no others. */
  scrape(...targets: readonly string[]): void;
  /** The values of an instant query, by the label `instance`. */
  query(expression: string): Promise<{ labels: Record<string, string>; value: number }[]>;
  alerts(): Promise<readonly Alert[]>;
  /** Waits until it fires, for this instance where one is given. */
  fires(name: string, labels?: Readonly<Record<string, string>>): Promise<Alert>;
};

/** The rules with shorter times: what they compare, and with what, stays as it is. */
export function quickRules(rules: string): string {
  return rules
    .replace(/^( +)for: \w+$/gm, '$1for: 1s')
    .replace(/\[(?:5m|10m)\]/g, '[15s]')
    .replace(/\[1m\]/g, '[3s]')
    .replaceAll('offset 10m', 'offset 15s');
}

export async function startPrometheus(): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'pith-prometheus-'));
  const targets = join(folder, 'targets.json');
  const scrape = (...list: readonly string[]): void => {
    writeFileSync(targets, JSON.stringify([{ targets: list }]));
  };
  scrape();
  mkdirSync(join(folder, 'data'));
  const rules = readFileSync(join(OBSERVABILITY, 'alerts.yaml'), 'utf8');
  writeFileSync(join(folder, 'rules.yaml'), quickRules(rules));
  const config = join(folder, 'prometheus.yml');
  writeFileSync(
    config,
    `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yaml]
scrape_configs:
  - job_name: pith
    file_sd_configs: [{ files: [targets.json], refresh_interval: 1s }]
`,
  );
  const port = await freePort();
  const running = await start(
    'prometheus',
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { ready: /Server is ready to receive web requests/ },
  );
  const url = `http://127.0.0.1:${port}`;
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${url}${path}`);
    const { data } = (await response.json()) as { data: T };
    return data;
  };
  const alerts = async (): Promise<readonly Alert[]> =>
    (await get<{ alerts: Alert[] }>('/api/v1/alerts')).alerts;
  return {
    url,
    scrape,
    alerts,
    async query(expression) {
      type Sample = { metric: Record<string, string>; value: [number, string] };
      const path = `/api/v1/query?query=${encodeURIComponent(expression)}`;
      const { result } = await get<{ result: Sample[] }>(path);
      return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    async fires(name, labels = {}) {
      const wanted = Object.entries({ alertname: name, ...labels });
      const fits = (one: Alert): boolean =>
        one.state === 'firing' && wanted.every(([key, value]) => one.labels[key] === value);
      return eventually(async () => (await alerts()).find(fits), `the alert ${name}`, 90_000);
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
