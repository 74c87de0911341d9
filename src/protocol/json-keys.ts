/** Names that stand twice in one object of a JSON text: `JSON.parse` keeps the last without a word. Pure. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** @param json JSON: nothing else may be asked. @returns The first name that is there twice; null: none is. */
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

/** Where the closing quote is. */
function endOfString(json: Buffer, start: number): number {
  let at = start + 1;
  while (json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

function keyIn(json: Buffer, start: number, end: number): string {
  const text = json.toString('utf8', start + 1, end);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}
