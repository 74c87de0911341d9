/** Exit codes of all commands, as deploy/README.md has them for `serve`. [sysexits.h] */
export const EXIT = {
  OK: 0,
  /** The command was carried out, and the answer is no. */
  NO: 1,
  USAGE: 64,
  UNAVAILABLE: 69,
  SOFTWARE: 70,
  OS: 71,
  CANNOT_CREATE: 73,
  CONFIG: 78,
} as const;
