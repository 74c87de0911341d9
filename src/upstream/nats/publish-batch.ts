/**
 * What a turn of the event loop publishes, as the bytes of NATS's protocol, one message behind the other: the client
 * library takes them in one piece. By itself it encodes and checks several pieces for each message.
 * [docs.nats.io/reference/reference-protocols/nats-protocol]
 */
import { NOTHING } from '../../bytes.ts';
import { WireWriter } from '../../contract/protobuf-wire.ts';
import type { NatsHeaders } from './nats-connection.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
/** Bytes of a character of a string in UTF-8, at most. */
const UTF8_BYTES_MAX = 3;

/** nats-server reads a subject up to the next white space, and takes what follows for something else. */
function isSubject(subject: string): boolean {
  for (let i = 0; i < subject.length; i++) if (subject.charCodeAt(i) <= 0x20) return false;
  return subject !== '';
}

export class PublishBatch {
  readonly #writer = new WireWriter(4_096);

  /** Bytes gathered. */
  get bytes(): number {
    return this.#writer.length;
  }

  /**
   * @param reply '': no answer is wanted.
   * @returns Bytes of headers and payload.
   * @throws {Error} The subject, or the reply, is none; or headers and payload have more than `bytesMax`.
   */
  add(
    subject: string,
    payload: Uint8Array,
    reply: string,
    headers: NatsHeaders | undefined,
    bytesMax: number,
  ): number {
    if (!isSubject(subject) || (reply !== '' && !isSubject(reply)))
      throw new Error(`no subject: ${JSON.stringify(isSubject(subject) ? reply : subject)}`);
    const to = reply === '' ? subject : `${subject} ${reply}`;
    const text = headers?.text ?? '';
    const block = text === '' && headers !== undefined ? headers.encode() : NOTHING;
    const headerBytes = text.length + block.length;
    const bytes = headerBytes + payload.length;
    if (bytes > bytesMax) throw new Error(`${bytes} bytes; the server takes ${bytesMax}`);
    if (headerBytes === 0) this.#add(to, `PUB ${to} ${bytes}\r\n`, block, payload);
    else this.#add(to, `HPUB ${to} ${headerBytes} ${bytes}\r\n${text}`, block, payload);
    return bytes;
  }

  #add(to: string, head: string, block: Uint8Array, payload: Uint8Array): void {
    const writer = this.#writer;
    // What follows the subjects in the head is ASCII; names in subjects may be anything.
    const extra = to.length * (UTF8_BYTES_MAX - 1);
    const into = writer.room(head.length + extra + block.length + payload.length + 2);
    let at = writer.length;
    at += into.write(head, at);
    if (block.length > 0) into.set(block, at);
    at += block.length;
    into.set(payload, at);
    at += payload.length;
    into[at++] = RETURN;
    into[at++] = NEWLINE;
    writer.wrote(at);
  }

  /** All of it; the next begins with memory of its own. */
  take(): Buffer {
    return this.#writer.take();
  }
}
