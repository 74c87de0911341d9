/** What could not be read or written, as a value: invalid bytes of clients and bodies of backends are common. */

/** Characters of a map's key that a path shows; the rest is cut off. */
const KEY_CHARACTERS_MAX = 64;

export type ProtoFault = {
  /** The field, as `path[2].x` or `items.sword`; empty: the whole body. */
  readonly path: string;
  /** What is wrong, in lower case and without the path. */
  readonly message: string;
};

export type Faulty = { readonly fault: ProtoFault };

/** The path of `inner` seen from the message that holds `name`. */
export function under(name: string, inner: string): string {
  const key = name.slice(0, KEY_CHARACTERS_MAX);
  return inner === '' || inner.startsWith('[') ? key + inner : `${key}.${inner}`;
}
