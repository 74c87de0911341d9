/** The errors that a gateway answers with. */

/** What the gateway itself may answer; proto/README.md and src/errors.ts say when. */
const GATEWAY_CODES = new Set([
  '400 BAD_ROUTE',
  '400 BAD_BODY',
  '401 NOT_BOUND',
  '404 NO_ROUTE',
  '409 CONFLICT',
  '409 CLOSING',
  '409 UID_IN_USE',
  '413 TOO_LARGE',
  '429 TOO_MANY',
  '500 BACKEND_ERROR',
  '502 BAD_REPLY',
  '503 BACKEND_AWAY',
  '503 BUS_AWAY',
  '503 OVERLOADED',
  '503 DRAINING',
  '504 TIMEOUT',
]);

/** The rule that such an answer breaks; '': none. @param late Milliseconds since it was asked. */
export function brokenBy(answer: {
  readonly code: number;
  readonly reason: string;
  readonly late: number;
  readonly timeoutMs: number;
}): string {
  const { code, reason, late, timeoutMs } = answer;
  if (code === 504 && late < timeoutMs) return 'nothing is late too early';
  if (!GATEWAY_CODES.has(`${code} ${reason}`)) return 'errors are of the table';
  // All that players send can be read, and is for somebody.
  return code === 400 || code === 404 || code === 401 ? 'errors are true' : '';
}
