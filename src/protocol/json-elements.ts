/** Splits a list that is known to be valid JSON into its elements, without parsing them. */
import { afterKnown } from './json-scan.ts';
import { afterSpace } from './json-tokens.ts';

const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** The elements of a list, as views, one after the other. Anything but a list has none. */
export class Elements {
  readonly #list: Buffer;
  #at: number;

  /** @param list Known to be valid JSON. */
  constructor(list: Buffer) {
    const at = afterSpace(list, 0);
    this.#list = list;
    this.#at = list[at] === OPEN_LIST ? afterSpace(list, at + 1) : list.length;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#list.length || this.#list[this.#at] === CLOSE_LIST;
  }

  /** null: that was the last one. */
  next(): Buffer | null {
    if (this.isAtEnd) return null;
    const list = this.#list;
    const end = afterKnown(list, this.#at);
    const element = list.subarray(this.#at, end);
    const at = afterSpace(list, end);
    this.#at = list[at] === COMMA ? afterSpace(list, at + 1) : at;
    return element;
  }
}

/** All elements of a list, as views. @param list Known to be valid JSON; anything but a list has none. */
export function elementsOf(list: Buffer): Buffer[] {
  const all = new Elements(list);
  const elements: Buffer[] = [];
  for (let one = all.next(); one !== null; one = all.next()) elements.push(one);
  return elements;
}
