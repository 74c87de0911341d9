import { isRawNumber } from '../protocol/exact-json.ts';

/** How deep JSON from a backend may be nested, in whichever form it comes: what walks it later may recurse. */
export const JSON_DEPTH_MAX = 64;

/**
 * How deep JSON that goes to a backend may be nested. Protobuf libraries read messages that are nested a hundred
 * deep, each object in a Struct takes three of these, and one frame that cannot be read ends a Link for everybody.
 * [protobuf.dev/programming-guides/proto-limits]
 */
export const JSON_DEPTH_MAX_TO_BACKENDS = 32;

/** True when arrays and objects are nested deeper than `depthMax`. Does not recurse itself. */
export function nestsTooDeep(value: unknown, depthMax = JSON_DEPTH_MAX): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) return true;
    level = level.flatMap((item) =>
      typeof item === 'object' && item !== null && !isRawNumber(item) ? Object.values(item) : [],
    );
  }
  return false;
}
