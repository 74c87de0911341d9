/** Headers, values and tokens on NATS as the simulated backends write and read them: by proto/README.md. */
import { createHash } from 'node:crypto';

const VERSION = 'NATS/1.0';

/** A header block, as it goes over the wire. @param lines Names and values in turn; the values are encoded already. */
export function headerBlock(lines: readonly string[]): Buffer {
  let text = `${VERSION}\r\n`;
  for (let i = 0; i < lines.length; i += 2) text += `${lines[i]}: ${lines[i + 1]}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}

/** Of the first header of this name, decoded; null: there is none. The gateway writes names as the contract has them. */
export function headerIn(block: string, name: string): string | null {
  const start = block.indexOf(`\r\n${name}:`);
  if (start < 0) return null;
  const from = start + name.length + 3;
  const value = block.slice(from, block.indexOf('\r\n', from)).trim();
  return value.includes('%') ? decodeURIComponent(value) : value;
}

/** The status of a message that the server itself sends; 0: none. 503: nobody listens. */
export function statusIn(block: string): number {
  return block.startsWith(`${VERSION} `) ? Number(block.slice(9, 12)) : 0;
}

/** Bytes 0x21 to 0x7E but `%` stand for themselves, every other byte of the UTF-8 is `%XX`. */
export function headerValue(value: string): string {
  let text = '';
  for (const byte of Buffer.from(value)) {
    const isPlain = byte >= 0x21 && byte <= 0x7e && byte !== 0x25;
    text += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/** JSON is made ASCII first. */
export function jsonHeaderValue(value: unknown): string {
  const escape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return headerValue(JSON.stringify(value).replace(/[\u007f-\uffff]/g, escape));
}

/** A name as one token of a subject. */
export function token(name: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name;
  const bytes = Buffer.from(name);
  return bytes.length <= 96
    ? `=${bytes.toString('base64url')}`
    : `=h${createHash('sha256').update(bytes).digest('base64url')}`;
}
