/** How deep JSON from a backend may be nested, in whichever form it comes: what walks it later may recurse. */
export const JSON_DEPTH_MAX = 64;

/** True when arrays and objects are nested deeper than that. Does not recurse itself. */
export function nestsTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > JSON_DEPTH_MAX) return true;
    level = level.flatMap((item) =>
      typeof item === 'object' && item !== null ? Object.values(item) : [],
    );
  }
  return false;
}
