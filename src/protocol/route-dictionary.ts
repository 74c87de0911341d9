/** Routes and the 16-bit codes that stand for them on the wire. Pure; made once, at start. */
import { createHash } from 'node:crypto';

export class RouteDictionary {
  /** Route to code, in the order of the codes: what the handshake sends as `dict`. */
  readonly codes: Readonly<Record<string, number>>;
  /** base64(md5(JSON of `codes`)), as Pomelo computes it, so that clients can keep a dictionary they have. */
  readonly version: string;
  readonly #routes = new Map<number, string>();
  readonly #codes = new Map<string, number>();

  /** @throws {RangeError} A code is outside 1 to 65535 (0 is never valid), or stands for two routes. */
  constructor(codes: Readonly<Record<string, number>>) {
    for (const [route, code] of Object.entries(codes)) {
      if (!Number.isInteger(code) || code < 1 || code > 0xffff) {
        throw new RangeError(
          `route ${route} has code ${JSON.stringify(code)}; 1 to 65535 are valid`,
        );
      }
      const other = this.#routes.get(code);
      if (other !== undefined)
        throw new RangeError(`routes ${other} and ${route} share code ${code}`);
      this.#routes.set(code, route);
      this.#codes.set(route, code);
    }
    this.codes = Object.freeze({ ...codes });
    this.version = createHash('md5').update(JSON.stringify(codes)).digest('base64');
  }

  get size(): number {
    return this.#codes.size;
  }

  routeOf(code: number): string | undefined {
    return this.#routes.get(code);
  }

  codeOf(route: string): number | undefined {
    return this.#codes.get(route);
  }

  /** Code to route, as the handshake sends it in `codeToRoute`. */
  get routes(): Record<string, string> {
    return Object.fromEntries([...this.#routes].map(([code, route]) => [String(code), route]));
  }
}
