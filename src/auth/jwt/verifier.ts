/**
 * Verifies signatures, some at a time: each occupies one of the few threads that the process also needs for files and
 * names, and nobody waits long enough for thousands.
 */
import { compactVerify } from 'jose';

import { Fifo } from '../../fifo.ts';
import type { VerifyKey } from './verify-keys.ts';

/** Signatures that are verified at once; the others wait, one for each client that has not been answered yet. */
export const VERIFYING_MAX = 8;

type Start = () => void;

export class Verifier {
  #running = 0;
  readonly #waiting = new Fifo<Start>();

  /**
   * What the token says, verified with one of the keys; null: with none of them.
   *
   * @param isWanted Asked when its turn has come: whoever wants it may be gone by then.
   */
  async verify(
    token: string,
    keys: readonly VerifyKey[],
    isWanted: () => boolean,
  ): Promise<Uint8Array | null> {
    if (keys.length === 0) return null;
    await this.#turn();
    try {
      for (const { key, algorithms } of keys) {
        if (!isWanted()) return null;
        const payload = await payloadOf(token, { key, algorithms });
        if (payload !== null) return payload;
      }
      return null;
    } finally {
      this.#running--;
      this.#waiting.take()?.();
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      const start = (): void => {
        this.#running++;
        resolve();
      };
      if (this.#running < VERIFYING_MAX) start();
      else this.#waiting.push(start);
    });
  }
}

/** null: not signed with this key. Anything that goes wrong is a signature that does not hold. */
async function payloadOf(
  token: string,
  { key, algorithms }: Pick<VerifyKey, 'key' | 'algorithms'>,
): Promise<Uint8Array | null> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [...algorithms] });
    return payload;
  } catch {
    return null;
  }
}
