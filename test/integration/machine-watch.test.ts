/** A simulation owns time and chance, and opens nothing: a library that helps itself would make one seed many histories. */
import { expect, test } from 'vitest';

import { run } from '../support/process.ts';

const WATCH = 'test/simulate/machine-watch.ts';

test('a simulation takes nothing from the machine, nor does what it runs', async () => {
  const { output } = await run('node', [WATCH, 'machine', '0.02', '3', '20']);
  expect(output).toMatch(/^[1-9]\d+ steps\n$/);
});

test('whatever is taken is found, in libraries too', async () => {
  const script = `
    import { watchMachine } from './${WATCH}';
    import { randomBytes } from 'node:crypto';
    import net from 'node:net';
    import { monitorEventLoopDelay } from 'node:perf_hooks';
    import { pino } from 'pino';
    const machine = watchMachine();
    Math.random();
    new Date(0);
    randomBytes(1);
    setTimeout(() => {}, 1);
    monitorEventLoopDelay();
    pino({ timestamp: pino.stdTimeFunctions.isoTime }, { write() {} }).info('x');
    net.connect(1, '127.0.0.1').destroy();
    console.log(machine.found().map((what) => what.split(' by')[0]).join('\\n'));
  `;
  const { output } = await run('node', ['--input-type=module', '-e', script]);
  expect(new Set(output.trim().split('\n'))).toEqual(
    new Set([
      ...['crypto.randomBytes', 'Date.now', 'Math.random', 'setTimeout'],
      ...['perf_hooks.monitorEventLoopDelay', 'ELDHISTOGRAM', 'RANDOMBYTESREQUEST', 'TCPWRAP'],
    ]),
  );
});
