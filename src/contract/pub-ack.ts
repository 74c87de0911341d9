/** JetStream acknowledges what a stream captures: to the reply subject, where a backend's answer is awaited. */

/** How much of a message is looked at. */
const LOOKED_AT_BYTES = 512;
const STORED = /^\{"stream":"[^"]*",\s*"(domain|seq|duplicate)":/;
/** Captured, but not stored: the stream is full, or of another mind. */
const NOT_STORED = /^\{"error":\{"code":[0-9]+,\s*"err_code":[0-9]+,[^{}]*\},\s*"stream":"[^"]*",/;

/** True for a stream's acknowledgement, which must never be taken for an answer. */
export function isPubAck(body: Uint8Array): boolean {
  if (body[0] !== 0x7b) return false;
  const length = Math.min(body.length, LOOKED_AT_BYTES);
  const text = Buffer.from(body.buffer, body.byteOffset, length).toString('latin1');
  return STORED.test(text) || NOT_STORED.test(text);
}
