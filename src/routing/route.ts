/** A client's route: `server.handler.method`. Pure. */

const SEGMENT_BYTES_MAX = 64;
/** Bytes of a route that a rule has renamed; a client's own is bound by `limits.route`. */
export const RENAMED_BYTES_MAX = 1_024;

/**
 * True for 1 to `bytesMax` bytes of segments `[A-Za-z0-9_-]{1,64}` joined by dots. Nothing else ever gets into a
 * subject, a method or a header, whatever the rules match.
 */
export function isRoute(route: string, bytesMax: number): boolean {
  const length = route.length;
  if (length === 0 || length > bytesMax) return false;
  let segment = 0;
  for (let i = 0; i < length; i++) {
    const unit = route.charCodeAt(i);
    if (unit === 0x2e) {
      if (segment === 0) return false;
      segment = 0;
      continue;
    }
    const isWord =
      (unit >= 0x61 && unit <= 0x7a) ||
      (unit >= 0x41 && unit <= 0x5a) ||
      (unit >= 0x30 && unit <= 0x39) ||
      unit === 0x5f ||
      unit === 0x2d;
    if (!isWord) return false;
    segment++;
    if (segment > SEGMENT_BYTES_MAX) return false;
  }
  return segment > 0;
}

/** True for the one method name that Pomelo rejects, since every object inherits it. [pomelo server.js globalHandle] */
export function namesConstructor(route: string): boolean {
  return route === 'constructor' || route.endsWith('.constructor');
}
