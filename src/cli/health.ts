/** `pith health`: asks the gateway on this machine how it is, where its own configuration says that it listens. */
import { type Clock, within } from '../clock.ts';
import { parseHostPort } from '../config/address.ts';
import { errorText } from '../errors.ts';

/** Longer than a gateway under load takes, shorter than the patience of those who check every 10 s. */
const ANSWER_MS = 4_000;

/** What it says; `isWell` when it answered 200, `isThere` when it answered at all. */
export type Health = { readonly isThere: boolean; readonly isWell: boolean; readonly text: string };

/**
 * Asks once. Never rejects.
 *
 * @param listen `health.listen`: host:port; every interface is asked on loopback.
 * @param path `/livez` or `/readyz`.
 */
export async function askHealth(listen: string, path: string, clock: Clock): Promise<Health> {
  const { host, port } = parseHostPort(listen);
  const asked = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  const url = `http://${asked.includes(':') ? `[${asked}]` : asked}:${port}${path}`;
  try {
    const response = await within<Response | null>(clock, ANSWER_MS, fetch(url), null);
    if (response === null) throw new Error(`no answer in ${ANSWER_MS / 1_000} s`);
    return { isThere: true, isWell: response.ok, text: await response.text() };
  } catch (error) {
    return { isThere: false, isWell: false, text: `cannot ask ${url}: ${whyOf(error)}\n` };
  }
}

/** `fetch` says only "fetch failed"; what happened is its cause. */
function whyOf(error: unknown): string {
  const { cause = error } = error as Error;
  return (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED'
    ? 'nothing listens there'
    : errorText(cause);
}
