/** A line of the scripted table: what was done, what was said and counted, and what that must be. */
import { isDeepStrictEqual } from 'node:util';

import { eventually } from '../../support/wait.ts';

import type { Row } from '../scenario.ts';

const PATIENCE_MS = 60_000;

/** As JSON has it: without what is undefined. */
function copy(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}

export class Cases {
  readonly rows: Row[] = [];
  readonly #bus: string;

  constructor(bus: string) {
    this.#bus = bus;
  }

  /** The same once it is so, or when it has not become so for long. */
  async until(by: string, what: string, look: () => object, mustBe: object): Promise<void> {
    const isSo = (): boolean => isDeepStrictEqual(copy(look()), copy(mustBe));
    await eventually(isSo, what, PATIENCE_MS).catch(() => {});
    this.check(by, what, look(), mustBe);
  }

  /** @param by The policy of the fleet, or the door that was used. */
  check(by: string, what: string, is: object, mustBe: object): void {
    const [said, literal] = [JSON.stringify(is), JSON.stringify(mustBe)];
    const isSo = isDeepStrictEqual(copy(is), copy(mustBe));
    this.rows.push({
      cells: {
        bus: this.#bus.padEnd(16),
        by: by.padEnd(14),
        what: what.padEnd(58),
        '': isSo ? 'ok' : 'WRONG',
        'said and counted': said.replaceAll('"', ''),
      },
      faults: isSo ? [] : [`${this.#bus}, ${by}: ${what}: is ${said}, not ${literal}`],
    });
  }
}
