#!/usr/bin/env node
// The command `pith` of the published package. Plain JavaScript that Node 14 can read, so that an older Node gets a
// message instead of a syntax error.
const WANTED = [24, 12];

const [major, minor] = process.versions.node.split('.').map(Number);
if (major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1])) {
  await import('./main.js');
} else {
  console.error(
    `pith needs Node ${WANTED.join('.')} or newer, and this is Node ${process.versions.node}: install a newer Node and run it again.`,
  );
  // UNAVAILABLE. [sysexits.h]
  process.exitCode = 69;
}
