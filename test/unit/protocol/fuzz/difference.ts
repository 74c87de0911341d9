/** Where two decoded values differ, in one line; null where they do not. */

/** A Map is the object that JSON would have for it. */
function plain(value: unknown): unknown {
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([key, inner]) => [String(key), inner as unknown]));
}

/** Numbers to the bit, keys in their order; prototypes do not count. */
export function difference(ours: unknown, reference: unknown, path = ''): string | null {
  const [a, b] = [plain(ours), plain(reference)];
  if (Object.is(a, b)) return null;
  const isObject = typeof a === 'object' && a !== null && typeof b === 'object' && b !== null;
  if (!isObject || Array.isArray(a) !== Array.isArray(b)) {
    return `${path}: ours ${show(a)}, the reference ${show(b)}`;
  }
  const keys = Object.keys(a);
  const others = Object.keys(b);
  if (keys.length !== others.length || keys.some((key, i) => key !== others[i])) {
    return `${path}: our keys ${show(keys)}, the reference's ${show(others)}`;
  }
  for (const key of keys) {
    const inner = difference(
      (a as Record<string, unknown>)[key],
      (b as Record<string, unknown>)[key],
      `${path}.${key}`,
    );
    if (inner !== null) return inner;
  }
  return null;
}

function show(value: unknown): string {
  const text =
    typeof value === 'string' || Array.isArray(value) ? JSON.stringify(value) : String(value);
  return text.slice(0, 300);
}
