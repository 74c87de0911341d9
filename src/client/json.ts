/** JSON, with errors that name the route. */
import { ownError } from './client-error.ts';
import { decodeText } from './text.ts';

/**
 * A body as JSON; `{}` for none.
 *
 * @throws {ClientError} BAD_BODY: it is circular, a function, or holds a BigInt.
 */
export function toJson(route: string, body: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(body === undefined ? {} : body);
  } catch {
    // Treated like a function, which has no JSON either.
  }
  return text ?? notJson(route);
}

/** @throws {ClientError} BAD_BODY. */
export function fromJson(route: string, text: string): unknown {
  const value = parseJson(text);
  return value === undefined ? notJson(route) : value;
}

/** undefined: not JSON. */
export function parseJson(bytes: Uint8Array | string): unknown {
  try {
    return JSON.parse(typeof bytes === 'string' ? bytes : decodeText(bytes));
  } catch {
    return undefined;
  }
}

function notJson(route: string): never {
  throw ownError('BAD_BODY', `the body of ${route} is not JSON`);
}
