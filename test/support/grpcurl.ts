/** grpcurl, the program, against a control port. */
import { run } from './process.ts';

/** A gateway, or an address such as `unix:///path`. */
export type Control = { readonly controlPort: number } | string;

export type Called = {
  /** `OK`, or the name of the status. */
  readonly status: string;
  /** The status's text. */
  readonly text: string;
  /** The answers: one, or those of a stream. */
  readonly answers: readonly Record<string, unknown>[];
};

/** Runs `grpcurl <flags> <address> <words>`; a failure of its own is thrown. */
export async function grpcurl(
  at: Control,
  words: readonly string[],
  flags: readonly string[] = [],
): Promise<string> {
  const { code, output } = await runGrpcurl(at, words, flags);
  if (code !== 0) throw new Error(`grpcurl ${words.join(' ')} ended with ${code}:\n${output}`);
  return output;
}

function runGrpcurl(
  at: Control,
  words: readonly string[],
  flags: readonly string[],
): Promise<{ code: number | string; output: string }> {
  const address = typeof at === 'string' ? at : `127.0.0.1:${at.controlPort}`;
  const plain = flags.includes('-cacert') ? [] : ['-plaintext'];
  return run('grpcurl', [...plain, '-max-time', '60', ...flags, address, ...words]);
}

/** Calls a method of pith.v1.Control, or one that is named in full, and says how it ended. */
export async function call(
  at: Control,
  method: string,
  request: object = {},
  flags: readonly string[] = [],
): Promise<Called> {
  const name = method.includes('/') ? method : `pith.v1.Control/${method}`;
  const { output } = await runGrpcurl(at, [name], [...flags, ...['-d', JSON.stringify(request)]]);
  const failed = /^ERROR:\n {2}Code: (\w+)\n {2}Message: (.*)$/m.exec(output);
  const json = failed === null ? output : output.slice(0, failed.index);
  const answers = json
    .split(/^(?=\{)/m)
    .filter((part) => part.trim() !== '')
    .map((part) => JSON.parse(part) as Record<string, unknown>);
  return { status: failed?.[1] ?? 'OK', text: failed?.[2] ?? '', answers };
}

/** The one answer of a call that goes well. */
export async function control(
  at: Control,
  method: string,
  request: object = {},
): Promise<Record<string, unknown>> {
  const called = await call(at, method, request);
  if (called.status !== 'OK' || called.answers.length !== 1)
    throw new Error(`${method}: ${called.status} ${called.text}, ${called.answers.length} answers`);
  return called.answers[0]!;
}
