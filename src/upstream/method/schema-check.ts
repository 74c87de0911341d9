/** What can be said of a backend in mode: method without asking it: for `pith check`. */
import { SchemaDisk, type SchemaPaths } from './descriptors.ts';
import { isCallable, noMethod, pathsOf } from './methods.ts';
import { makeSchema } from './schema.ts';

export type SchemaCheck = SchemaPaths & {
  readonly services: readonly string[];
  readonly reflection: boolean;
  /** `method` of the routes that lead here. */
  readonly methods: readonly string[];
};

/**
 * What is wrong with the files, and with routes that name a method. Nothing where the backend's reflection would be
 * needed, nor of templates, which depend on what clients ask for. Never rejects.
 */
export async function checkSchema(check: SchemaCheck): Promise<readonly string[]> {
  if (check.reflection) return [];
  const schema = makeSchema(await new SchemaDisk(check).read(), check.services);
  if ('problems' in schema) return schema.problems;
  const named = check.methods.filter((method) => !method.includes('{'));
  return [...new Set(named)].flatMap((name) => {
    const method = schema.methods.get(pathsOf(name, '')[0]!);
    if (method === undefined) return [noMethod(schema, name, '')];
    return isCallable(method) ? [] : [`${method.path} is ${method.kind}; ${CALLABLE}`];
  });
}

/** Said of others. */
export const CALLABLE = 'unary and server-streaming methods can be called';
