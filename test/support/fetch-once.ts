/** One HTTP request on a connection of its own. */
import http from 'node:http';

/** What came back. */
export type Answer = { status: number; headers: http.IncomingHttpHeaders; body: string };

/** Asks a port of this machine. */
export function fetchOnce(port: number, path: string, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path, method, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => {
        resolve({ status: response.statusCode!, headers: response.headers, body });
      });
    });
    request.end();
  });
}
