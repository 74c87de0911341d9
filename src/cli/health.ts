/** `pith health`: asks the gateway on this machine how it is, where its own configuration says that it listens. */
import http from 'node:http';
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
export function askHealth(listen: string, path: string): Promise<Health> {
  const { host, port } = parseHostPort(listen);
  const asked = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  const url = `http://${asked.includes(':') ? `[${asked}]` : asked}:${port}${path}`;
  return new Promise((resolve) => {
    const request = http.get(
      { host: asked, port, path, agent: false, timeout: ANSWER_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          resolve({ isThere: true, isWell: response.statusCode === 200, text });
        });
      },
    );
    request.on('timeout', () => {
      request.destroy(new Error(`no answer in ${ANSWER_MS / 1_000} s`));
    });
    request.on('error', (error) => {
      const why =
        (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
          ? 'nothing listens there'
          : errorText(error);
      resolve({ isThere: false, isWell: false, text: `cannot ask ${url}: ${why}\n` });
    });
  });
}
