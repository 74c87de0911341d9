/** `pith client` in this process, at a terminal that a test types into. */
import { PassThrough } from 'node:stream';

import { runClient } from '../../src/cli/client.ts';
import { systemClock } from '../../src/clock.ts';
import { eventually } from './wait.ts';

export type Terminal = {
  /** What a person would see, colours and cursor moves taken out; answers and pushes alone; the rest alone. */
  readonly screen: () => string;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly exitCode: Promise<number>;
  type(text: string): void;
  /** Ctrl-D, or the end of the pipe. */
  end(): void;
  sees(pattern: RegExp): Promise<void>;
};

/** @param person False: stdin is a pipe. */
export function startTerminal(args: readonly string[], person = false): Terminal {
  const texts = { screen: '', stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => {
    const into = Object.assign(new PassThrough(), { isTTY: person });
    into.on('data', (chunk: Buffer) => {
      texts[name] += chunk.toString();
      texts.screen += chunk.toString().replace(/\u001b\[\d*[A-Z]/g, '');
    });
    return into;
  };
  const stdin = Object.assign(new PassThrough(), { isTTY: person, setRawMode: () => stdin });
  const exitCode = runClient({
    args,
    stdin,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    clock: systemClock,
    version: '0.0.0-test',
  });
  return {
    screen: () => texts.screen,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    exitCode,
    type: (text) => void stdin.write(text),
    end: () => void stdin.end(),
    async sees(pattern) {
      await eventually(() => pattern.test(texts.screen), `${String(pattern)} on the screen`);
    },
  };
}
