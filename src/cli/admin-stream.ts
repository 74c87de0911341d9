/** Streams of Control from a gateway's admin port: a line of JSON for each answer. */
import { type Clock, within } from '../clock.ts';
import { isObject } from '../protocol/exact-json.ts';
import { parseJsonText } from '../protocol/json-parse.ts';
import { answerOf, failureOf, type Refused } from './admin-call.ts';
import type { AdminPort } from './admin-options.ts';

/** A gateway says something at least every ten seconds; one that does not is away. */
const SILENT_MS = 30_000;
/** Characters of one answer. */
const LINE_CHARS_MAX = 8 * 1024 * 1024;

export type Line = { readonly text: string; readonly fields: Readonly<Record<string, unknown>> };

/** Its lines as they come. A value instead of an iterable: it was refused, or nobody is there. Never rejects. */
export async function streamFrom(
  admin: AdminPort,
  method: string,
  request: object,
  clock: Clock,
): Promise<AsyncGenerator<Line | Refused> | Refused> {
  try {
    const response = await answerOf(admin, method, request, clock);
    if ('why' in response) return response;
    return linesOf(admin, response, clock);
  } catch (error) {
    return failureOf(admin, error);
  }
}

/** Ends with a refusal where the stream does not end as it should. */
async function* linesOf(
  admin: AdminPort,
  response: Response,
  clock: Clock,
): AsyncGenerator<Line | Refused> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const part = await within<Awaited<ReturnType<typeof reader.read>> | null>(
        clock,
        SILENT_MS,
        reader.read(),
        null,
      );
      if (part === null) {
        yield failureOf(admin, new Error(`nothing came for ${SILENT_MS / 1_000} s`));
        return;
      }
      if (part.done) return;
      rest += part.value;
      const lines = rest.split('\n');
      rest = lines.pop()!;
      if (rest.length > LINE_CHARS_MAX) throw new Error('the gateway sends no lines of JSON');
      for (const text of lines) {
        const line = lineOf(admin, text);
        yield line;
        if ('why' in line) return;
      }
    }
  } catch (error) {
    yield failureOf(admin, error);
  } finally {
    // Whoever does not read on leaves.
    await reader.cancel().catch(() => {});
  }
}

/** An error in a stream is its last line. */
function lineOf({ url }: AdminPort, text: string): Line | Refused {
  const fields = parseJsonText(text);
  if (!isObject(fields)) throw new Error('the gateway sends no lines of JSON');
  const { error } = fields;
  if (!isObject(error)) return { text, fields };
  const { msg } = error;
  return { ok: false, isThere: true, why: `${url}: ${typeof msg === 'string' ? msg : 'refused'}` };
}
