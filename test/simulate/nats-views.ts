/**
 * Messages in the form that the client library gives them: views of a buffer, which is overwritten as soon as their
 * subscriber has returned. So whoever keeps a view, instead of a copy, is found out.
 */
import type { NatsMessage, OnMessage } from '../../src/upstream/nats/nats-connection.ts';
import type { Packet } from './nats-wire.ts';

const BUFFER_BYTES = 64 * 1_024;
/** Neither text nor JSON nor a length that fits. */
const SPOILT = 0xff;

export class Views {
  #buffer = Buffer.alloc(BUFFER_BYTES);

  show(packet: Packet, onMessage: OnMessage): void {
    const { bytes } = packet;
    if (bytes.length > this.#buffer.length) this.#buffer = Buffer.alloc(2 * bytes.length);
    const view = this.#buffer.subarray(0, bytes.length);
    view.set(bytes);
    onMessage(null, new View(packet, view));
    view.fill(SPOILT);
  }
}

class View implements NatsMessage {
  readonly _msg: Packet;
  readonly _rdata: Uint8Array;

  constructor(packet: Packet, bytes: Uint8Array) {
    this._msg = packet;
    this._rdata = bytes;
  }

  get subject(): string {
    return this._msg.subject;
  }

  get reply(): string {
    return this._msg.reply;
  }

  get data(): Uint8Array {
    const { hdr } = this._msg;
    return hdr > 0 ? this._rdata.subarray(hdr) : this._rdata;
  }
}
