/** A client's socket goes from one process to another, and the client does not notice. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { Connection } from '../../src/transport/transport.ts';
import { type EchoListener, makeEchoListener } from '../support/echo-listener.ts';
import type { FromEcho, ToEcho } from '../support/echo-process.ts';
import { frame, OPCODE, pack, RawSocket } from '../support/raw.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

let echo: EchoListener;
let child: ChildProcess;

beforeAll(async () => {
  echo = makeEchoListener();
  await echo.listener.listen();
  child = fork(join(ROOT, 'test/support/echo-process.ts'), { execArgv: [] });
  await once(child, 'spawn');
});

afterAll(async () => {
  echo.listener.close();
  child.kill('SIGKILL');
  await once(child, 'exit');
});

/** Those of the test before have gone. */
beforeEach(() => eventually(() => echo.connections.size === 0, 'no connection'));

/** Sends it to the other process. */
async function move(connection: Connection): Promise<void> {
  const { transport, remoteAddress, readBytes, sentBytes, movable } = connection;
  const adopted = { remoteAddress, readBytes, sentBytes };
  const message: ToEcho = { kind: 'adopt', transport, adopted };
  child.send(message, movable!.handle as never);
  expect(await heard()).toEqual({ kind: 'adopted' });
  movable!.letGo();
}

async function heard(): Promise<FromEcho> {
  const [message] = (await once(child, 'message')) as [FromEcho];
  return message;
}

async function go(): Promise<object> {
  const next = heard();
  child.send({ kind: 'go' } satisfies ToEcho);
  return (await next).counts!;
}

/** As a client of this transport writes one. */
function wrap(transport: 'tcp' | 'ws', packet: Buffer): Buffer {
  return transport === 'ws' ? frame(OPCODE.BINARY, packet) : packet;
}

/** The numbers that came back, in their order. */
function numbersIn({ received }: RawSocket): number[] {
  return [...received.matchAll(/#([0-9]+)\./g)].map(([, n]) => Number(n));
}

describe.each(['tcp', 'ws'] as const)('%s', (transport) => {
  test('what is sent before, during and after the move comes back once and in order', async () => {
    await using client = await RawSocket.open(echo.listener.port, transport);
    const say = (n: number): void => client.send(wrap(transport, pack(4, `#${n}.`)));
    say(1);
    await client.waitFor(/#1\./);
    const [connection] = echo.connections;
    expect(connection!.movable!.stop()).toBe(true);
    // It stays in the kernel.
    for (let n = 2; n <= 100; n++) say(n);
    const { readBytes, sentBytes } = connection!;
    await move(connection!);
    await eventually(() => echo.connections.size === 0, 'this process to have let go');
    const counts = await go();
    for (let n = 101; n <= 200; n++) say(n);
    await client.waitFor(/#200\./);
    expect(numbersIn(client)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    expect(counts).toEqual({ readBytes, sentBytes, remoteAddress: '127.0.0.1' });
    expect(client.isEnded).toBe(false);
  });

  test('one that has stopped reads on where it is, if it does not move', async () => {
    await using client = await RawSocket.open(echo.listener.port, transport);
    const say = (n: number): void => client.send(wrap(transport, pack(4, `#${n}.`)));
    say(1);
    await client.waitFor(/#1\./);
    const [connection] = echo.connections;
    expect(connection!.movable!.stop()).toBe(true);
    for (let n = 2; n <= 50; n++) say(n);
    // A round trip of another connection: by then they would have been read.
    await using other = await RawSocket.open(echo.listener.port, 'tcp');
    other.send(pack(4, '#1.'));
    await other.waitFor(/#1\./);
    expect(numbersIn(client)).toEqual([1]);
    connection!.movable!.goOn();
    await client.waitFor(/#50\./);
    expect(numbersIn(client)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });
});

test('half a WebSocket frame, and a message that is not whole, are known', async () => {
  await using client = await RawSocket.open(echo.listener.port, 'ws');
  const whole = frame(OPCODE.BINARY, pack(4, '#1.'));
  client.send(whole.subarray(0, 7));
  const [connection] = echo.connections;
  await eventually(() => connection!.assembling, 'half a frame');
  client.send(whole.subarray(7));
  await client.waitFor(/#1\./);
  expect(connection!.assembling).toBe(false);
  client.send(frame(OPCODE.BINARY, pack(4, '#2.'), { fin: false }));
  await eventually(() => connection!.assembling, 'an open fragment');
});

test('a socket that was told to pause is not stopped: what it has read would be lost', async () => {
  await using client = await RawSocket.open(echo.listener.port, 'tcp');
  client.send(pack(4, '#1.'));
  await client.waitFor(/#1\./);
  const [connection] = echo.connections;
  connection!.pause();
  expect(connection!.movable!.stop()).toBe(false);
  connection!.resume();
  expect(connection!.movable!.stop()).toBe(true);
  connection!.movable!.goOn();
});
