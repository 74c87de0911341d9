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
      return `nothing listens at ${path}, though the file exists: start the backend, or correct ${key}`;
    case 'EACCES':
    case 'EPERM':
      return `${path} cannot be opened for lack of permission: give this user write access`;
    case 'EPROTOTYPE':
      return `${path} is not a stream socket: correct ${key}`;
    default:
      return `${path}: ${errorText(error)}`;
  }
}
