/**
 * The name of one thing that happened to one session: `<sid>-<seq>`. It is in error answers, logs, traces and what
 * `pith why` takes, and is made and read nowhere else.
 */

export type Ref = {
  readonly sid: string;
  /** The number of the client's message within its session, as backends get it; 0: the session itself. */
  readonly seq: number;
};

/** @param seq 0: the session itself, as when it is closed. */
export function refOf(sid: string, seq: number): string {
  return `${sid}-${seq}`;
}

/** null: the text is no ref. A sid alone is none: what follows its dot has no hyphen. */
export function parseRef(text: string): Ref | null {
  const match = REF.exec(text);
  if (match === null) return null;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { sid: match[1]!, seq } : null;
}

/** The gateway's id, the number of the session there, and that of the message. A uid that looks so is no concern here. */
const REF = /^([^\s]{1,250}\.[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})$/;
