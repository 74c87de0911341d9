/** limits.event_loop_lag: the real process, with more to do than it can. */
import net from 'node:net';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { ACK, ask, HANDSHAKE } from '../support/raw.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const CONFIG = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
limits: { event_loop_lag: 1ms, messages_per_second: 1000000, burst: 1000000 }
`;
/** Each turn handles a few hundred messages of each: far more than a millisecond. */
const CROWD = 150;
const MANY = Buffer.concat(Array.from({ length: 1_000 }, () => ask(1, 'echo.a')));

/** Asks as fast as it is read from, and takes all that comes. */
class Flood implements Disposable {
  readonly #socket: net.Socket;
  isOver = false;

  constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.on('error', () => {});
    this.#socket.resume();
    this.#socket.write(Buffer.concat([HANDSHAKE, ACK]));
    this.#more();
  }

  #more(): void {
    if (!this.isOver) this.#socket.write(MANY, () => this.#more());
  }

  [Symbol.dispose](): void {
    this.isOver = true;
    this.#socket.destroy();
  }
}

async function overloaded(healthPort: number): Promise<string | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
  return /^pith_overload_state (\d)$/m.exec(text)?.[1];
}

test('new requests are refused while the event loop lags, and taken again afterwards', async () => {
  await using served = await serve(CONFIG);
  await using client = await TestClient.connect(served.port);
  expect(await client.request('echo.a')).toEqual({ code: 200 });
  expect(await overloaded(served.healthPort)).toBe('0');
  const floods = Array.from({ length: CROWD }, () => new Flood(served.port));
  try {
    const line = await served.logged('overloaded: new requests are refused');
    expect(line.level).toBe('warn');
    expect(line['why']).toMatch(
      /^the event loop lags by \d+ ms, and limits\.event_loop_lag is 1 ms$/,
    );
    // It may be over in between; the flood goes on.
    const refused = await eventually(async () => {
      const answer = await client.request('echo.a');
      return answer['code'] === 503 && answer;
    }, 'a request that is refused');
    expect(refused).toEqual({
      code: 503,
      reason: 'OVERLOADED',
      msg: 'this gateway has too much to do; try again',
      retry_after_ms: 1_000,
    });
    const ready = await fetch(`http://127.0.0.1:${served.healthPort}/readyz`);
    expect(ready.status).toBe(200);
  } finally {
    for (const flood of floods) flood[Symbol.dispose]();
  }
  await eventually(async () => (await overloaded(served.healthPort)) === '0', 'its end');
  await served.logged('no longer overloaded: new requests are taken');
  expect(await client.request('echo.a')).toEqual({ code: 200 });
  const lines = served.log().filter(({ msg }) => msg === 'message refused');
  expect(lines.some(({ why }) => String(why).includes('limits.event_loop_lag is 1 ms'))).toBe(true);
});
