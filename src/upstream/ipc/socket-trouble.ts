/** Why a Unix socket could not be opened, and what to do. Pure. */
import { errorText } from '../../errors.ts';

export function whyNoSocket(
  error: NodeJS.ErrnoException,
  { name, path }: { readonly name: string; readonly path: string },
): string {
  const key = `backends.${name}.ipc`;
  switch (error.code) {
    case 'ENOENT':
      return `there is no socket at ${path}: start the backend, or correct ${key}`;
    case 'ECONNREFUSED':
      return `nobody listens at ${path}, though there is a file: start the backend, or correct ${key}`;
    case 'EACCES':
    case 'EPERM':
      return `${path} may not be opened: give this user the right to write to it`;
    case 'EPROTOTYPE':
      return `${path} is no stream socket: correct ${key}`;
    default:
      return `${path}: ${errorText(error)}`;
  }
}
