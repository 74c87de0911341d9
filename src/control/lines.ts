/** The lines of an HTTP request's body, as they come. */
import type { IncomingMessage } from 'node:http';

import { GatewayError } from '../errors.ts';
import { Gathered } from '../gathered.ts';

const NEWLINE = 0x0a;

/**
 * Each line without its newline, empty ones left out; the last needs no newline. Ends early when the client leaves.
 *
 * @throws {GatewayError} A line is too long; what was not read is left unread.
 */
export async function* linesOf(
  request: IncomingMessage,
  bytesMax: number,
): AsyncGenerator<Buffer, void, void> {
  const line = new Gathered();
  const add = (part: Buffer): void => {
    if (line.bytes + part.length > bytesMax)
      throw new GatewayError('TOO_LARGE', `a line of more than ${bytesMax} bytes`);
    if (part.length > 0) line.add(part);
  };
  for await (const chunk of untilCut(request)) {
    let at = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      add(chunk.subarray(at, end));
      at = end + 1;
      if (line.bytes > 0) yield line.all();
      line.clear();
    }
    add(chunk.subarray(at));
  }
  // Cut off in the middle of a line, it is not one.
  if (line.bytes > 0 && request.complete) yield line.all();
}

/** What comes of a stream; a caller that leaves ends it without an error. */
export async function* untilCut(stream: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch {
    // Nobody is there who could be told.
  }
}
