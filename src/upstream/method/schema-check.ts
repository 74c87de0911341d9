/** What can be checked of a backend in mode: method without contacting it, for `pith check`. */
import { SchemaDisk, type SchemaPaths } from './descriptors.ts';
import { isCallable, noMethod, pathsOf } from './methods.ts';
import { makeSchema, type Method } from './schema.ts';

export type SchemaCheck = SchemaPaths & {
  readonly services: readonly string[];
  readonly reflection: boolean;
  /** `method` of the routes that lead here. */
  readonly methods: readonly string[];
};

/** What is wrong; `method` is the one of `methods` that it is about, '' where it is about the files. */
export type SchemaFault = { readonly method: string; readonly message: string };

/**
 * What is wrong with the files, and with routes that name a method. Nothing where the backend's reflection would be
 * needed, nor of templates, which depend on what clients ask for. Never rejects.
 */
export async function checkSchema(check: SchemaCheck): Promise<readonly SchemaFault[]> {
  if (check.reflection) return [];
  const schema = makeSchema(await new SchemaDisk(check).read(), check.services);
  if ('problems' in schema) return schema.problems.map((message) => ({ method: '', message }));
  const named = check.methods.filter((method) => !method.includes('{'));
  return [...new Set(named)].flatMap((name) => {
    const method = schema.methods.get(pathsOf(name, '')[0]!);
    if (method === undefined) return [{ method: name, message: noMethod(schema, name, '') }];
    if (isCallable(method)) return [];
    return [{ method: name, message: `${method.path} is ${method.kind}; ${CALLABLE}` }];
  });
}

/** Which method a template and a route lead to, or why to none. */
export type MethodFound =
  | { readonly path: string; readonly kind: Method['kind'] | null }
  | { readonly why: string };

/**
 * What the route would call. Where the backend is asked for its schema, only the name is known (`kind` null), which
 * may be either of two. Never rejects.
 */
export async function findMethod(
  check: Omit<SchemaCheck, 'methods'>,
  template: string,
  route: string,
): Promise<MethodFound> {
  const tried = pathsOf(template, route);
  if (check.reflection) {
    const listed = tried.filter((path) =>
      check.services.includes(path.slice(1, path.lastIndexOf('/'))),
    );
    if (listed.length > 0) return { path: listed.join(' or '), kind: null };
    return { why: `no method ${tried.join(' or ')} in the listed services` };
  }
  const schema = makeSchema(await new SchemaDisk(check).read(), check.services);
  if ('problems' in schema) return { why: schema.problems.join('; ') };
  const method = tried.map((path) => schema.methods.get(path)).find((one) => one !== undefined);
  if (method === undefined) return { why: noMethod(schema, template, route) };
  if (!isCallable(method)) return { why: `${method.path} is ${method.kind}; ${CALLABLE}` };
  return { path: method.path, kind: method.kind };
}

/** Said of others. */
export const CALLABLE = 'unary and server-streaming methods can be called';
