/** The lines that a backend on a Unix socket reads: one JSON object each. Pure. */
import { forwarded, type SessionFacts, type Trace } from '../../contract/facts.ts';
import { copyOnOneLine } from './json-text.ts';

/** The end of every line of a session's messages, while the session does not change: `"session":{…}}` */
export function sessionTail(session: SessionFacts, forward: readonly string[]): string {
  const { sid, uid, data } = session;
  const facts = { sid, uid, data: forwarded(data, forward) ?? {} };
  return `"session":${JSON.stringify(facts)}}\n`;
}

/** The same of a line that is about no session. */
export const NO_SESSION_TAIL = '"session":{"sid":"","uid":"","data":{}}}\n';

export type LineFacts = {
  readonly cmd: string;
  /** JSON text, which is copied as it is; empty: `{}`. */
  readonly payload: Buffer;
  /** 0: no answer is due. */
  readonly seqId: number;
  /** How long the gateway waits; 0: not at all. */
  readonly timeoutMs: number;
  readonly trace: Trace | null;
  /** Of `sessionTail`. */
  readonly tail: string;
};

/** `{"cmd":…,"payload":…,"seq_id":…,"timeout_ms":…,"session":{…}}` and a newline. */
export function writeLine(facts: LineFacts): Buffer {
  const { cmd, payload, seqId, timeoutMs, trace, tail } = facts;
  const head = `{"cmd":${JSON.stringify(cmd)},"payload":`;
  let rest = payload.length === 0 ? '{},' : ',';
  if (seqId !== 0) rest += `"seq_id":${seqId},`;
  if (timeoutMs !== 0) rest += `"timeout_ms":${timeoutMs},`;
  if (trace !== null) rest += traceMembers(trace);
  rest += tail;
  // The head is ASCII: routes are.
  const line = Buffer.allocUnsafe(head.length + payload.length + Buffer.byteLength(rest));
  line.write(head, 0, 'latin1');
  copyOnOneLine(payload, line, head.length);
  line.write(rest, head.length + payload.length);
  return line;
}

function traceMembers({ traceparent, tracestate }: Trace): string {
  const state = tracestate === '' ? '' : `"tracestate":${JSON.stringify(tracestate)},`;
  return `"traceparent":${JSON.stringify(traceparent)},${state}`;
}
