/** The cluster's API server, for programs beside the pods; KUBECONFIG is that of the cluster. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { dirname, join } from 'node:path';

const SERVER = 'https://127.0.0.1:41510';

const pki = (name: string): Buffer =>
  readFileSync(join(dirname(process.env['KUBECONFIG']!), 'pki', name));

const agent = new https.Agent({
  keepAlive: true,
  ca: pki('ca.crt'),
  cert: pki('admin.crt'),
  key: pki('admin.key'),
});

/** The API server's own certificate, which is for this machine, too. */
export const certificate = { cert: pki('server.crt'), key: pki('server.key') };

export type EndpointSlice = {
  metadata: { namespace: string; labels: Record<string, string> };
  endpoints: { addresses: string[]; hostname?: string; conditions: { ready: boolean } }[] | null;
};

/** @throws {Error} If the server cannot be asked, or does not answer with 200. */
export function apiGet<T>(path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    https
      .get(`${SERVER}${path}`, { agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text) as T);
          else reject(new Error(`${path}: ${response.statusCode} ${text}`));
        });
      })
      .on('error', reject);
  });
}
