/** The options of commands that ask a running gateway, on its admin port. */
import type { Clock } from '../clock.ts';
import { type OptionRules, type Options, UsageError } from './options.ts';

/** `admin.listen` as it is by default. */
const ADMIN_DEFAULT = '127.0.0.1:7071';

export const ADMIN_OPTIONS: OptionRules = {
  admin: { value: 'HOST:PORT' },
  token: { value: 'TOKEN' },
};

/** For the help of each of them. */
export const ADMIN_HELP = `  --admin HOST:PORT                 admin.listen of a gateway; default ${ADMIN_DEFAULT}; https://HOST:PORT for TLS
  --token TOKEN                     where it wants one; or PITH_ADMIN__TOKEN in the environment`;

export type AdminPort = {
  /** Without a path: `http://127.0.0.1:7071`. */
  readonly url: string;
  /** '': none. */
  readonly token: string;
};

/** What such a command has of the process. */
export type AskIo = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
};

/** @throws {UsageError} */
export function adminOf(options: Options): AdminPort {
  const text = options.text('admin') ?? ADMIN_DEFAULT;
  const parsed = URL.parse(/^https?:\/\//.test(text) ? text : `http://${text}`);
  if (parsed === null || parsed.pathname !== '/' || parsed.search !== '')
    throw new UsageError(
      `--admin ${text}: expected HOST:PORT, as in ${ADMIN_DEFAULT}, or https://HOST:PORT`,
    );
  return { url: parsed.origin, token: options.text('token') ?? '' };
}

/** With the token of the environment where none was given: no other user of the machine reads it there. */
export function withTokenOf({ url, token }: AdminPort, env: AskIo['env']): AdminPort {
  return { url, token: token || (env['PITH_ADMIN__TOKEN'] ?? '') };
}
