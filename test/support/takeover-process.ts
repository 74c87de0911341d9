/**
 * A gateway in a process of its own, which another takes over, or which takes over another. Arguments: `old` or `new`, and
 * a file with its configuration. What it says to its parent is of type `FromProcess`.
 */
import { readFileSync } from 'node:fs';

import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Gateway } from '../../src/gateway.ts';
import { systemRandom } from '../../src/random.ts';
import type { HandedOver } from '../../src/takeover/hand-over.ts';
import type { FromNew, FromOld, Line } from '../../src/takeover/line.ts';
import { TakeOver } from '../../src/takeover/take-over.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import type { RawHandle } from '../../src/transport/raw-handle.ts';
import { makeListenerPrints } from '../../src/wiring/dialects.ts';
import { makeHandOver } from '../../src/wiring/takeover.ts';
import { makeSystem } from '../../src/wiring/network.ts';

export type FromProcess =
  /** For the other process. */
  | { readonly line: object }
  | { readonly serving: { readonly id: string; readonly clients: readonly string[] } }
  | { readonly handedOver: HandedOver }
  | { readonly failed: string };
export type ToProcess = { readonly line: object | null } | { readonly handOver: true };

const [role, file] = process.argv.slice(2);
const say = (message: FromProcess, handle?: RawHandle): void =>
  void process.send!(message, handle as never);

function lineOf<Out extends object, In extends object>(): Line<Out, In> {
  return {
    say: (message, handle) => {
      say({ line: message }, handle);
    },
    listen: (take) => {
      process.on('message', (message: ToProcess, handle: unknown) => {
        if ('line' in message) take(message.line as In | null, handle as RawHandle | undefined);
      });
    },
  };
}

const loaded = loadConfig({ text: readFileSync(file!, 'utf8'), file: file!, env: {} });
if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
const { config } = loaded;
const parts = {
  ...{ config, clock: systemClock, random: systemRandom, ...(await makeSystem(config)) },
  log: makeLog({
    ...{ clock: systemClock, level: config.log.level, format: 'json' },
    write: (line) => void process.stderr.write(`${role} ${line}`),
  }),
  ...{ version: '0.0.0-test', nodeVersion: process.versions.node },
  resources: { memoryBytes: 2 ** 31, descriptors: 20_000 },
};

const serving = ({ id, addresses }: Gateway): void => {
  say({ serving: { id, clients: addresses.clients } });
};

if (role === 'old') {
  const gateway = new Gateway(parts);
  await gateway.start();
  serving(gateway);
  process.on('message', (message: ToProcess) => {
    if (!('handOver' in message)) return;
    void makeHandOver(gateway.takeover, lineOf<FromOld, FromNew>())
      .run()
      .then((handedOver) => {
        process.send!({ handedOver } satisfies FromProcess, () => {
          if ('moved' in handedOver) process.exit(0);
        });
      });
  });
} else {
  try {
    const from = new TakeOver(systemClock, lineOf<FromNew, FromOld>());
    const id = await from.begin(makeListenerPrints(config));
    const gateway = new Gateway({ ...parts, successor: { id, from } });
    await gateway.start();
    serving(gateway);
  } catch (error) {
    say({ failed: String(error) });
  }
}
