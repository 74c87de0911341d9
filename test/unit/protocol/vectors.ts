/** The vectors of test/vectors/pomelo-wire.json, recorded from the reference implementations. */
import { readFileSync } from 'node:fs';

/** Fields beyond these depend on the layer. */
export type Vector = {
  readonly name: string;
  readonly layer: string;
  /** What the reference encodes, or what it is given to decode; null where it refuses to encode. */
  readonly hex: string | null;
  // oxlint-disable-next-line typescript/no-explicit-any -- a row of a JSON file, of another shape in every layer
  readonly input: any;
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  readonly [field: string]: any;
};

const file = new URL('../../vectors/pomelo-wire.json', import.meta.url);
export const vectors: readonly Vector[] = JSON.parse(readFileSync(file, 'utf8'));

/** The vector called `name`. */
export function vector(name: string): Vector {
  const found = vectors.find((row) => row.name === name);
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}

/** Layers that other parts of Pith answer for, or that it does not have. */
export const layersOfOtherParts: Readonly<Record<string, string>> = {
  crypto: 'useCrypto, not part of the wire codec',
  sio: 'socket.io, not served',
  'pitaya-message': 'bodies compressed by Pitaya',
};
