/** The socket of a backend that has attached: what is sent on it is kept. */
import type { AttachSocket, Ending } from '../../../../src/upstream/dial-in/attach-stream.ts';
import { decodeToBackend, type Frame } from '../../contract/reference.ts';

export class KeptSocket implements AttachSocket {
  readonly sent: Buffer[] = [];
  /** As the first one that it was given. */
  ending: Ending | null = null;
  destroyed = false;

  send(message: Buffer, done: () => void): void {
    this.sent.push(message);
    done();
  }

  pause(): void {}

  resume(): void {}

  watch(): void {}

  roundTrip(done: () => void): void {
    done();
  }

  end(ending: Ending): void {
    this.ending ??= ending;
  }

  destroy(): void {
    this.destroyed = true;
  }

  get frames(): Frame[] {
    return this.sent.flatMap(decodeToBackend);
  }
}
