/** Plays a step on one server and says what came, as text from which the bytes can be read back. */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { OPCODE } from '../support/raw.ts';
import { FENCE, FENCE_ANSWER, type Part, type Step, type Until, type Versions } from './step.ts';
import { type Event, type Transport, Wire } from './wire.ts';

/** One line for each thing that came, in order. */
export type Transcript = readonly string[];

const HEAD_BYTES = 4;
const NAMES: Readonly<Record<number, string>> = {
  1: 'HANDSHAKE',
  3: 'HEARTBEAT',
  4: 'DATA',
  5: 'KICK',
};
const TYPES: Readonly<Record<Exclude<Until, 'fence' | 'end'>, number>> = {
  handshake: 1,
  heartbeat: 3,
};

/** @param plainEnd The close code that this server always sends: an end with it is only called END. */
export async function play(
  step: Step,
  transport: Transport,
  server: { readonly port: number; readonly plainEnd: number },
  kept: Versions,
): Promise<Transcript> {
  await using wire = await Wire.open(server.port, transport);
  const uid = `${step.world} ${step.name} ${transport}`;
  const given = { kept, uid };
  const lines: string[] = [];
  for (const part of step.parts(given)) {
    await send(wire, part);
    const last = await collect(wire, part.until, step.fence ?? FENCE, (event) => {
      if (part.quiet && event.kind !== 'end') return;
      lines.push(lineOf(event, transport === 'tcp' ? 0 : server.plainEnd));
    });
    if (last === null) lines.push(`NOTHING, where ${part.until} was awaited`);
    if (last === null || last.kind === 'end') break;
  }
  return lines;
}

async function send(wire: Wire, part: Part): Promise<void> {
  if (!part.slowly) {
    wire.send(part.send, part.text ? OPCODE.TEXT : OPCODE.BINARY);
    return;
  }
  for (const byte of Buffer.concat(part.send)) {
    wire.send([Buffer.from([byte])]);
    await nextTurn();
  }
}

/** Takes what comes until the part is over; resolves with what ended it, null if that never came. */
async function collect(
  wire: Wire,
  until: Until,
  fence: Buffer,
  take: (event: Event) => void,
): Promise<Event | null> {
  let fences = 2;
  if (until === 'fence') wire.send([fence]);
  for (;;) {
    const event = await wire.next();
    if (event === null) return null;
    if (until === 'fence' && isFenceAnswer(event)) {
      if (--fences === 0) return event;
      wire.send([fence]);
      continue;
    }
    take(event);
    if (event.kind === 'end') return event;
    if (until !== 'fence' && until !== 'end' && event.bytes[0] === TYPES[until]) return event;
  }
}

function isFenceAnswer(event: Event): boolean {
  return (
    event.kind === 'frame' &&
    event.bytes[0] === 4 &&
    event.bytes.subarray(HEAD_BYTES).indexOf(FENCE_ANSWER) === 0
  );
}

function lineOf(event: Event, plainEnd: number): string {
  if (event.kind === 'end') {
    const isPlain = event.code === plainEnd && event.words === '';
    return isPlain ? 'END' : `END ${event.code} ${event.words}`;
  }
  const { bytes, text } = event;
  const name = NAMES[bytes[0] ?? 0];
  const isOne = bytes.length >= HEAD_BYTES && bytes.length === HEAD_BYTES + bytes.readUIntBE(1, 3);
  // A frame that is not one whole package is shown as it is.
  const line =
    isOne && name !== undefined
      ? `${name} "${readable(bytes.subarray(HEAD_BYTES))}"`
      : `FRAME ${bytes.toString('hex')}`;
  return text ? `text frame: ${line}` : line;
}

/** Printable ASCII as it is, every other byte and the backslash as \xNN. */
function readable(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(
      /[^\x20-\x5b\x5d-\x7e]/g,
      (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
}
