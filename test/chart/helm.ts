/** Renders the chart with helm, and finds objects in what came out. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CHART = join(ROOT, 'deploy/helm/pith');

/** The oldest Kubernetes that the chart takes. */
const KUBE_VERSION = '1.30.0';

export type Values = Record<string, unknown>;

export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  data?: Record<string, string>;
  // eslint-disable-next-line typescript/no-explicit-any -- as deep and loose as Kubernetes' own types
  spec: any;
};

export type Rendered = {
  /** What helm printed, for programs that read manifests. */
  readonly text: string;
  readonly objects: readonly KubeObject[];
  /** The one object of a kind. */
  the(kind: string): KubeObject;
  has(kind: string): boolean;
  /** The settings in the pods' annotation. */
  readonly config: Record<string, unknown>;
};

const scratch = mkdtempSync(join(tmpdir(), 'pith-chart-'));
let files = 0;

/** A new folder, which `clean` takes away. */
export function folder(name: string): string {
  return mkdtempSync(join(scratch, `${name}-`));
}

export function clean(): void {
  rmSync(scratch, { recursive: true, force: true });
}

function helm(args: readonly string[]): { code: number | null; out: string; err: string } {
  const done = spawnSync('helm', [...args], { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (done.error !== undefined) throw done.error;
  return { code: done.status, out: done.stdout, err: done.stderr };
}

function template(values: Values, chart: string, release = 'pith'): ReturnType<typeof helm> {
  const file = join(scratch, `values-${files++}.json`);
  // As JSON, since helm reads YAML 1.1, where `yes` is true.
  writeFileSync(file, JSON.stringify(values));
  return helm(['template', release, chart, '--values', file, '--kube-version', KUBE_VERSION]);
}

/** Renders the chart; throws with helm's message if it is refused. */
export function render(values: Values = {}, chart = CHART, release = 'pith'): Rendered {
  const { code, out, err } = template(values, chart, release);
  if (code !== 0) throw new Error(err);
  return read(out);
}

/** The objects of a manifest. */
export function read(text: string): Rendered {
  const objects = parseAllDocuments(text, { strict: true, uniqueKeys: true }).flatMap(
    (document) => {
      const [error] = document.errors;
      if (error !== undefined) throw error;
      const object = document.toJS() as KubeObject | null;
      return object === null ? [] : [object];
    },
  );
  const of = (kind: string): KubeObject[] => objects.filter((object) => object.kind === kind);
  return {
    text,
    objects,
    the: (kind) => {
      const [first, ...others] = of(kind);
      if (first === undefined || others.length > 0)
        throw new Error(`one ${kind} was expected, there are ${of(kind).length}`);
      return first;
    },
    has: (kind) => of(kind).length > 0,
    get config() {
      return parse(of('Deployment')[0]!.spec.template.metadata.annotations['pith.yaml']) as Record<
        string,
        unknown
      >;
    },
  };
}

/** What helm says when it refuses the values; throws if it does not. */
export function refusal(values: Values): string {
  const { code, out, err } = template(values, CHART);
  if (code === 0) throw new Error(`helm took ${JSON.stringify(values)}:\n${out}`);
  return err;
}

export function lint(...files: string[]): { code: number | null; out: string } {
  const { code, out, err } = helm([
    'lint',
    '--strict',
    CHART,
    ...files.flatMap((file) => ['-f', file]),
  ]);
  return { code, out: out + err };
}
