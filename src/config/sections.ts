/** The sections of a configuration tree, each read separately, so that one bad key does not hide problems elsewhere. */
import type { z } from 'zod';
import { type Config, configSchema } from './schema.ts';
import { type BackendConfig, backendSchema } from './schema-backends.ts';
import { type ListenConfig, listenSchema } from './schema-listen.ts';
import { type RouteConfig, routeSchema } from './schema-routes.ts';
import type { Path } from './schema-tree.ts';
import { getAt, isMap } from './tree.ts';

export type Sections = {
  /** A section that has mistakes of its own is missing here. */
  known: Partial<Config>;
  /** Entries with mistakes of their own are undefined. */
  listen: (ListenConfig | undefined)[];
  backends: Map<string, BackendConfig | undefined>;
  routes: (RouteConfig | undefined)[];
};

/** Takes what a check has found, at the path of a key. */
export type Report = (path: Path, message: string) => void;

export function readSections(tree: unknown): Sections {
  const known: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(configSchema.shape)) {
    const value = read(schema, getAt(tree, [name]));
    if (value !== undefined) known[name] = value;
  }
  const listen = getAt(tree, ['listen']);
  const backends = getAt(tree, ['backends']);
  const routes = getAt(tree, ['routes']);
  return {
    known,
    listen: (Array.isArray(listen) ? listen : [{}]).map((entry) => read(listenSchema, entry)),
    backends: new Map(
      Object.entries(isMap(backends) ? backends : {}).map(([name, entry]) => {
        return [name, read(backendSchema, entry)];
      }),
    ),
    routes: (Array.isArray(routes) ? routes : []).map((entry) => read(routeSchema, entry)),
  };
}

function read<Schema extends z.ZodType>(schema: Schema, value: unknown) {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
