/** Fetches a JWKS: one https request, bounded in size and time. What the answer says leads nowhere else. */
import https from 'node:https';

import type { Clock } from '../../clock.ts';
import { gather } from '../../gathered.ts';
import type { ClientTls } from '../../transport/pem.ts';

/** Bytes of a JWKS: a hundred RSA keys with their certificates. */
export const JWKS_BYTES_MAX = 512 * 1024;
/** Milliseconds for all of it: less than a handshake may take, so that whoever waits for it hears what came of it. */
export const JWKS_FETCH_MS = 4_000;

/** @throws {Error} Why there is no JWKS: unreachable, too late, too long, another status than 200. */
export type FetchJwks = () => Promise<string>;

/** A new connection for each: they are minutes apart. */
export function jwksFetcher(url: string, tls: ClientTls, clock: Clock): FetchJwks {
  return () =>
    new Promise((resolve, reject) => {
      const headers = { Accept: 'application/json', 'Accept-Encoding': 'identity' };
      const request = https.request(url, { agent: false, headers, ...tls });
      const cancelTimer = clock.setTimer(JWKS_FETCH_MS, () => {
        request.destroy(new Error(`no answer in ${JWKS_FETCH_MS} ms`));
      });
      const fail = (error: Error): void => {
        cancelTimer();
        reject(error);
      };
      request.on('error', fail);
      request.once('response', (response) => {
        const { statusCode = 0 } = response;
        // Redirects are not followed: the URL is the one that was configured.
        if (statusCode !== 200) {
          request.destroy(new Error(`the answer is ${statusCode}; expected 200`));
          return;
        }
        gather(response as AsyncIterable<Buffer>, JWKS_BYTES_MAX).then((body) => {
          cancelTimer();
          if (response.complete) resolve(body.toString('utf8'));
          else reject(new Error('the answer was cut off'));
        }, fail);
      });
      request.end();
    });
}
