/** Duplicate keys in an object of a JSON text, of which `JSON.parse` silently keeps the last. Pure. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** @param json Must be valid JSON. @returns The first duplicate key; null: there is none. */
export function repeatedKey(json: Buffer): string | null {
  /** The names of each open object; null for a list. */
  const open: (Set<string> | null)[] = [];
  let keyIsDue = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!;
    if (byte === QUOTE) {
      const end = endOfString(json, at);
      if (keyIsDue) {
        const names = open.at(-1)!;
        const name = keyIn(json, at, end);
        if (names!.has(name)) return name;
        names!.add(name);
        keyIsDue = false;
      }
      at = end;
    } else if (byte === 0x7b) {
      open.push(new Set());
      keyIsDue = true;
    } else if (byte === 0x5b) {
      open.push(null);
      keyIsDue = false;
    } else if (byte === 0x7d || byte === 0x5d) {
      open.pop();
      keyIsDue = false;
    } else if (byte === 0x2c) {
      keyIsDue = open.at(-1) !== null;
    }
  }
  return null;
}

/** Index of the closing quote. */
function endOfString(json: Buffer, start: number): number {
  let at = start + 1;
  while (json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

function keyIn(json: Buffer, start: number, end: number): string {
  const text = json.toString('utf8', start + 1, end);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}
