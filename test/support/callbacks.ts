/**
 * The types of src/ that have members named `onSomething`: what a lower part calls in whoever made it. There are
 * few, because such a call leads a reader to another file to learn who listens; whoever needs one asks first
 * whether the object itself can be handed over, a value returned, or something awaited.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sourceFiles } from './layers.ts';
import { findCallbackTypes } from './syntax.ts';

/** By name; at most twelve. What is no longer there is deleted here as well. */
export const CALLBACK_TYPES: readonly string[] = [
  'ConnectionEvents',
  'ConnectionHandler',
  'ConnectionListener',
  'FrameHandler',
  'FrameReaderLink',
  'Handshakes',
  'LineHandler',
  'LinkOwner',
  'NatsConnectionHandler',
  'Resolver',
  'TransportEvents',
];

/** What is wrong with the callbacks of the files under `root`, or with `allowed`; one line for each. */
export function checkCallbacks(root: string, allowed: readonly string[]): string[] {
  // In pages everything that happens goes up, from the part that was clicked.
  const files = sourceFiles(root).filter((file) => !file.startsWith('web/'));
  const found = files.flatMap((file) =>
    findCallbackTypes(file, readFileSync(join(root, file), 'utf8')).map((name) => ({ file, name })),
  );
  const added = found
    .filter(({ name }) => !allowed.includes(name))
    .map(
      ({ file, name }) =>
        `${file}: ${name} calls upward through members named on…: hand over the object that is to be told, ` +
        'return a value, or await it; see test/support/callbacks.ts',
    );
  const gone = allowed
    .filter((name) => !found.some((type) => type.name === name))
    .map((name) => `${name} has no callbacks any more: delete it from test/support/callbacks.ts`);
  return [...added, ...gone];
}
