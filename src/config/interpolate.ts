/** Puts the values of ${env:NAME} and ${file:/path} into the strings of a tree. */
import type { z } from 'zod';
import { fileErrorText } from '../errors.ts';
import { coerce } from './environment.ts';
import type { Finding } from './problem.ts';
import type { Path } from './schema-tree.ts';
import { isMap } from './tree.ts';

/** Where the values come from. */
export type Values = {
  env: Readonly<Record<string, string | undefined>>;
  /** Where the file of a reference at this key is. */
  locate(name: string, path: Path): string;
  /** Reads a file as text; throws if it cannot be read. */
  readFile(location: string): string;
};

/**
 * Copies a tree with every `${env:NAME}` and `${file:/path}` replaced, once: what is put in is not looked at
 * again. `$${` stands for `${`. Keys without a value are left out, so that their defaults hold.
 *
 * @param report Called for each reference that has no value; the text is then left as it is.
 */
export function interpolate(
  tree: unknown,
  root: z.core.$ZodType,
  values: Values,
  report: (finding: Finding) => void,
): unknown {
  const visit = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') return replace(value, path);
    if (Array.isArray(value)) return value.map((item, index) => visit(item, [...path, index]));
    if (!isMap(value)) return value;
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const isAbsent = item === null && !isInsideReply(path);
      const visited = isAbsent ? undefined : visit(item, [...path, key]);
      // Not an assignment: a key named __proto__ must stay a key.
      Object.defineProperty(copy, key, {
        value: visited,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return copy;
  };
  const replace = (text: string, path: Path): unknown => {
    if (!text.includes('${')) return text;
    let isWhole = false;
    let hasFailed = false;
    const replaced = text.replace(/\$?\$\{([^}]*)(\}?)/g, (whole, name: string, end: string) => {
      if (whole.startsWith('$$')) return whole.slice(1);
      const found = end === '' ? { message: '"${" without its "}"' } : lookUp(name, values, path);
      if ('message' in found) {
        hasFailed = true;
        report({ path, message: found.message });
        return whole;
      }
      isWhole = whole === text;
      return found.value;
    });
    // A whole value may become a number or a list, as the value of a PITH_ variable may.
    return hasFailed || !isWhole ? replaced : coerce(root, path, replaced).value;
  };
  return visit(tree, []);
}

function lookUp(
  reference: string,
  values: Values,
  path: Path,
): { value: string } | { message: string } {
  const [, source, name = ''] = /^(env|file):(.*)$/s.exec(reference) ?? [];
  if (source === 'env') {
    const value = values.env[name];
    if (value !== undefined && value !== '') return { value };
    return { message: `the environment variable ${name} is not set` };
  }
  if (source === 'file') {
    if (name === '') return { message: 'the path is missing: ${file:/path}' };
    const location = values.locate(name, path);
    try {
      return { value: values.readFile(location).replace(/\r?\n$/, '') };
    } catch (error) {
      return { message: `cannot read ${location}: ${fileErrorText(error)}` };
    }
  }
  return {
    message: `unknown \${${reference}}; write \${env:NAME}, \${file:/path}, or $\${ for \${`,
  };
}

/** A fixed answer is JSON of the user's own, where null is a value. */
function isInsideReply(path: Path): boolean {
  return path[0] === 'backends' && path[2] === 'reply';
}
