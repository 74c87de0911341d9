/** What `POST /v1/Watch` answers, line by line, as it comes. */
import http from 'node:http';

import { eventually } from './wait.ts';

export type WatchLine = Record<string, unknown> & { readonly kind: string };

export class Watching implements AsyncDisposable {
  readonly status: number;
  readonly lines: WatchLine[] = [];
  /** The gateway has ended it. */
  isEnded = false;
  readonly #answer: http.IncomingMessage;

  private constructor(answer: http.IncomingMessage) {
    this.#answer = answer;
    this.status = answer.statusCode!;
    let rest = '';
    answer.setEncoding('utf8');
    answer.on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.lines.push(JSON.parse(line) as WatchLine);
    });
    answer.on('end', () => {
      this.isEnded = true;
    });
    answer.on('error', () => {});
  }

  /** Begun once the head of the answer is there. */
  static async begin(
    { adminPort: port }: { readonly adminPort: number },
    request: object = {},
    token = '',
  ): Promise<Watching> {
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path: '/v1/Watch', method: 'POST', agent: false };
      const asked = http.request({ ...options, headers }, resolve);
      asked.on('error', reject);
      asked.end(JSON.stringify(request));
    });
    return new Watching(answer);
  }

  /** The first event with all of these fields. */
  seen(fields: Record<string, unknown>): Promise<WatchLine> {
    const what = JSON.stringify(fields);
    return eventually(
      () =>
        this.lines.find((line) =>
          Object.entries(fields).every(([name, value]) => line[name] === value),
        ) ?? false,
      `an event with ${what}; there are ${this.lines.map(({ kind }) => kind).join(' ')}`,
    );
  }

  /** Its kinds, without those of the watch itself. */
  get kinds(): string[] {
    return this.lines.map(({ kind }) => kind).filter((kind) => kind !== 'watching');
  }

  leave(): void {
    this.#answer.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    return Promise.resolve();
  }
}
