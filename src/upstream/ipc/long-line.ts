/** A line that is too long to be kept: read through as it comes, for the number of the request that it answers. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const SPACE = 0x20;
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d] as const;
const NAME = 'seq_id';
/** Bytes of a name or a number of the outermost object that are read: more than either has. */
const TEXT_BYTES_MAX = 20;

export class LongLine {
  /** Bytes that have come. */
  bytes = 0;
  #depth = 0;
  #isString = false;
  #isEscaped = false;
  /** Of the outermost object: where in a member it is. */
  #part: 'name' | 'value' = 'name';
  /** The name, or the value of seq_id, as far as it has come. */
  #text = '';
  #isSeqId = false;
  #seqId: number | null = null;

  /** Of the outermost object; null: it has none that is a whole number. */
  get seqId(): number | null {
    return this.#seqId;
  }

  take(chunk: Buffer): void {
    this.bytes += chunk.length;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (this.#isString) this.#inString(byte);
      else this.#outside(byte);
    }
  }

  #inString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === QUOTE) {
      this.#isString = false;
      return;
    } else if (byte === BACKSLASH) this.#isEscaped = true;
    // Escapes stay as they are: a name that is written with them is another one.
    this.#keep(byte);
  }

  #outside(byte: number): void {
    if (byte === QUOTE) this.#isString = true;
    else if (byte === BRACE || byte === BRACKET) this.#depth++;
    else if (byte === BRACE_END || byte === BRACKET_END) this.#end(this.#depth - 1);
    else if (this.#depth !== 1) return;
    else if (byte === COMMA) this.#end(1);
    else if (byte === COLON) this.#begin();
    else if (this.#part === 'value' && byte > SPACE) this.#keep(byte);
  }

  #keep(byte: number): void {
    if (this.#depth === 1 && this.#text.length < TEXT_BYTES_MAX && this.#isKept)
      this.#text += String.fromCharCode(byte);
  }

  get #isKept(): boolean {
    return this.#part === 'name' || this.#isSeqId;
  }

  /** A name is complete. */
  #begin(): void {
    this.#isSeqId = this.#text === NAME;
    this.#part = 'value';
    this.#text = '';
  }

  /** Something in the line is complete: a member of the outermost object, where that goes on or ends here. */
  #end(depth: number): void {
    if (this.#depth === 1) {
      if (this.#isSeqId && /^[0-9]{1,10}$/.test(this.#text)) this.#seqId = Number(this.#text);
      this.#isSeqId = false;
      this.#part = 'name';
      this.#text = '';
    }
    this.#depth = depth;
  }
}
