/** What a backend on a Unix socket says over one connection: each line is read, and goes to where it belongs. */
import { inBackground } from '../../background.ts';
import { ShapeError } from '../../contract/json.ts';
import { errorText, failure } from '../../errors.ts';
import { PACKET_BODY_BYTES_MAX } from '../../protocol/packet.ts';
import type { BackendCommands } from '../backend-commands.ts';
import type { BackendReport } from '../backend-report.ts';
import type { CallTable } from '../call-table.ts';
import {
  type Answer,
  type BackendLine,
  readLine,
  SeqIdError,
  UnreadableLine,
} from './backend-lines.ts';
import type { LineHandler } from './line-socket.ts';

/** Bytes of one line from the backend: the longest payload, and something around it. */
export const IPC_LINE_BYTES_MAX = PACKET_BODY_BYTES_MAX + 64 * 1024;
/** Lines in a row that are no JSON object, before the connection is closed for them: something else speaks there. */
export const IPC_BAD_LINES_MAX = 16;
/** Characters of an unknown cmd that the log shows. */
const CMD_CHARS_MAX = 64;
const TOO_LONG = "the backend's answer does not fit into a packet";
const WRONG_NUMBER = 'the backend answered with a seq_id that is not a number';

export type LineReaderParts = {
  /** The calls that wait for an answer. */
  readonly calls: CallTable;
  /** Where pushes and changes to sessions go. */
  readonly commands: BackendCommands;
  readonly report: BackendReport;
  /** Bytes of JSON that are parsed at once: `limits.convert`. */
  readonly convertBytesMax: number;
};

/** Whose connection it is. */
export interface LineReaderOwner {
  /** The backend wants nothing more over it. May be called again. */
  goaway(reason: string): void;
  /** Called once, when the connection is gone. */
  lost(why: string): void;
}

export class LineReader implements LineHandler {
  readonly #parts: LineReaderParts;
  readonly #owner: LineReaderOwner;
  #badLines = 0;

  constructor(parts: LineReaderParts, owner: LineReaderOwner) {
    this.#parts = parts;
    this.#owner = owner;
  }

  onLine(line: Buffer): string | null {
    if (isBlank(line)) return null;
    const { calls, commands, report, convertBytesMax } = this.#parts;
    let read: BackendLine;
    try {
      read = readLine(line, convertBytesMax, this.#awaits);
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      report.dropped('line', `a line is ignored: ${error.message}`, 'line');
      // Else the request would wait for its time to be over.
      if (error instanceof SeqIdError && error.meant !== null)
        calls.take(error.meant)?.fail(failure('BAD_REPLY', WRONG_NUMBER));
      return error instanceof UnreadableLine ? this.#unreadable(error.message) : null;
    }
    this.#badLines = 0;
    switch (read.kind) {
      case 'answer':
        this.#answer(read);
        break;
      case 'push':
        commands.push(read.push);
        break;
      case 'verb':
        inBackground(commands.verb(read.verb, false), (error) => {
          report.error('session change failed', { why: errorText(error) });
        });
        break;
      case 'goaway':
        this.#owner.goaway(read.reason);
        break;
      case 'echo':
        report.dropped(
          'line',
          `a line with cmd ${shown(read.cmd)} and a session is one of the gateway's, sent back: a notify gets no answer`,
          'echo',
        );
        break;
      case 'unknown':
        report.dropped('line', `unknown cmd ${shown(read.cmd)}`, 'unknown');
    }
    return null;
  }

  onLongLine(seqId: number | null, bytes: number): void {
    const { calls, report } = this.#parts;
    const call = seqId === null ? null : calls.take(seqId);
    const what = call === null ? 'a line' : `the answer to ${call.route}`;
    const why = `${what} has ${bytes} bytes; at most ${IPC_LINE_BYTES_MAX} of a line are read`;
    report.dropped('line', why, 'too long');
    if (call !== null) call.fail(failure('BAD_REPLY', TOO_LONG));
    else if (seqId !== null) report.lateReply();
  }

  onEnd(why: string): void {
    this.#owner.lost(why);
  }

  /** An answer that comes late is still an answer. */
  readonly #awaits = (seqId: number): boolean => this.#parts.calls.wasGiven(seqId);

  #answer({ seqId, reply, fault }: Answer): void {
    const { calls, report } = this.#parts;
    const call = calls.take(seqId);
    if (call === null) {
      report.lateReply();
      return;
    }
    if (fault !== '') report.dropped('line', `the answer to ${call.route}: ${fault}`, 'answer');
    if (reply instanceof Uint8Array) call.succeed(reply);
    else call.answer(reply);
  }

  /** One line of nonsense is ignored: a client may have caused it, and others share the connection. */
  #unreadable(why: string): string | null {
    this.#badLines++;
    return this.#badLines < IPC_BAD_LINES_MAX
      ? null
      : `${IPC_BAD_LINES_MAX} lines could not be read; the last: ${why}`;
  }
}

function shown(cmd: string): string {
  return JSON.stringify(cmd.slice(0, CMD_CHARS_MAX));
}

function isBlank(line: Buffer): boolean {
  return line.length < 2 && (line.length === 0 || line[0] === 0x0d);
}
