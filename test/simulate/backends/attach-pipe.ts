/** What carries the stream of a backend that attaches: both ends of a connection of the simulated network. */
import type { CancelTimer } from '../../../src/clock.ts';
import type { Attach } from '../../../src/control/attach.ts';
import {
  type AttachSocket,
  AttachStream,
  type Ending,
} from '../../../src/upstream/dial-in/attach-stream.ts';
import type { End } from '../channel.ts';
import type { Network } from '../network.ts';
import type { Node } from '../world.ts';
import type { StreamHandler, StreamSocket } from './stream.ts';

/** A message; or what gRPC and WebSocket say of themselves. */
export type AttachWire = Buffer | Ending | 'ping' | 'pong' | 'mark' | 'received';

const SMALL_BYTES = 16;
/** Of a silence that is too long: after each a ping, and after the last the end. */
const LOOKS = 3;
/** As a backend's library is told to look after its connection. */
const BACKEND_DEAD_MS = 30_000;

/** Where the backends of a gateway's process attach. @returns Stops listening. */
export function serveAttach(
  network: Network,
  node: Node,
  address: string,
  attach: Attach,
): () => void {
  return network.listen<AttachWire>(node, address, (end, from) => {
    attach.open(attachStream(end, from.name));
  });
}

/** The gateway's side. */
export function attachStream(end: End<AttachWire>, peer: string): AttachStream {
  const socket = new GatewaySide(end);
  const stream = new AttachStream(`sim ${peer}`, socket);
  end.handler = {
    onMessage: (wire) => {
      socket.silence.isHeard = true;
      if (Buffer.isBuffer(wire)) stream.take(wire);
      else if (wire === 'ping') end.send('pong', SMALL_BYTES);
      else if (wire === 'received') socket.received();
    },
    onEnd: () => {
      stream.onPeerEnd();
      socket.peerEnded();
    },
    onCut: () => {
      socket.over();
      stream.fail('the connection was lost, or the backend cancelled the call');
    },
    onRoom: () => {
      socket.onRoom();
    },
  };
  socket.onSilence = () => {
    stream.fail('no sign of life');
  };
  return stream;
}

/** Notices that nothing comes any more. */
class Silence {
  isHeard = false;
  readonly #end: End<AttachWire>;
  readonly #onSilent: () => void;
  #stop: CancelTimer = () => {};

  constructor(end: End<AttachWire>, onSilent: () => void) {
    this.#end = end;
    this.#onSilent = onSilent;
  }

  /** @param deadAfterMs 0: never. */
  watch(deadAfterMs: number): void {
    this.stop();
    if (deadAfterMs > 0) this.#look(deadAfterMs / LOOKS, 0);
  }

  #look(ms: number, silent: number): void {
    this.#stop = this.#end.node.after(ms, () => {
      const looks = this.isHeard ? 0 : silent + 1;
      this.isHeard = false;
      if (looks === LOOKS) {
        this.#onSilent();
        return;
      }
      if (looks > 0) this.#end.send('ping', SMALL_BYTES);
      this.#look(ms, looks);
    });
  }

  stop(): void {
    this.#stop();
  }
}

type Unsent = { readonly message: Buffer; readonly done: () => void };

class GatewaySide implements AttachSocket {
  onSilence: () => void = () => {};
  readonly silence: Silence;
  readonly #end: End<AttachWire>;
  /** What the system has no room for. */
  readonly #unsent: Unsent[] = [];
  /** What is called when marks have been received. */
  readonly #marks: (() => void)[] = [];
  #isEnded = false;
  #isPeerDone = false;
  #ending: Ending | null = null;

  constructor(end: End<AttachWire>) {
    this.#end = end;
    this.silence = new Silence(end, () => {
      this.onSilence();
      this.destroy();
    });
  }

  send(message: Buffer, done: () => void): void {
    if (this.#isEnded || this.#end.isCut) return;
    this.#unsent.push({ message, done });
    this.onRoom();
  }

  /** The system takes as much as it has room for. */
  onRoom(): void {
    while (this.#unsent.length > 0 && !this.#end.isCongested && !this.#end.isCut) {
      const { message, done } = this.#unsent.shift()!;
      this.#end.send(message, message.length + SMALL_BYTES);
      this.#end.node.clock.soon(done);
    }
    if (this.#ending !== null && this.#unsent.length === 0) this.#finish(this.#ending);
  }

  roundTrip(done: () => void): void {
    if (this.#isEnded || this.#end.isCut) return;
    this.#marks.push(done);
    this.#end.send('mark', SMALL_BYTES);
  }

  received(): void {
    this.#marks.shift()!();
  }

  pause(): void {
    this.#end.pauseReading();
  }

  resume(): void {
    this.#end.resumeReading();
  }

  watch(deadAfterMs: number): void {
    this.silence.watch(deadAfterMs);
  }

  end(ending: Ending): void {
    if (this.#isEnded || this.#ending !== null) return;
    this.#ending = ending;
    this.#end.resumeReading();
    this.onRoom();
  }

  #finish(ending: Ending): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#end.send(ending, SMALL_BYTES);
    this.#end.end();
    if (this.#isPeerDone) this.#close();
  }

  peerEnded(): void {
    this.#isPeerDone = true;
    if (this.#isEnded) this.#close();
  }

  #close(): void {
    this.silence.stop();
    this.#end.node.soon(() => {
      this.#end.destroy('closed');
    });
  }

  destroy(): void {
    this.over();
    this.#end.destroy('dropped');
  }

  over(): void {
    this.silence.stop();
    this.#isEnded = true;
    this.#unsent.length = 0;
  }
}

/** The backend's side. */
export class BackendSide implements StreamSocket {
  handler!: StreamHandler;
  readonly #end: End<AttachWire>;
  readonly #silence: Silence;
  #isOver = false;

  /** @param onEnding Told why the gateway has ended it. */
  constructor(end: End<AttachWire>, onEnding: (ending: Ending) => void) {
    this.#end = end;
    this.#silence = new Silence(end, () => {
      end.destroy('no sign of life');
      this.#cut('no sign of life');
    });
    this.#silence.watch(BACKEND_DEAD_MS);
    end.handler = {
      onMessage: (wire) => {
        this.#silence.isHeard = true;
        if (Buffer.isBuffer(wire)) this.handler.onMessage(wire);
        else if (wire === 'ping') end.send('pong', SMALL_BYTES);
        else if (wire === 'mark') end.send('received', SMALL_BYTES);
        else if (wire !== 'pong' && wire !== 'received') this.#ended(wire, onEnding);
      },
      // Its ending has said so.
      onEnd: () => {},
      onCut: (why) => {
        this.#cut(why);
      },
    };
  }

  #ended(ending: Ending, onEnding: (ending: Ending) => void): void {
    onEnding(ending);
    // In order: what is in flight may still be answered.
    if (ending.how === 'done' || ending.how === 'stopping') {
      this.handler.onEnd();
      return;
    }
    this.#end.end();
    this.#cut(ending.text);
  }

  #cut(why: string): void {
    this.#silence.stop();
    if (this.#isOver) return;
    this.#isOver = true;
    this.handler.onCut(why);
  }

  send(message: Buffer): void {
    this.#end.send(message, message.length + SMALL_BYTES);
  }

  end(): void {
    this.#silence.stop();
    this.#end.end();
  }

  destroy(): void {
    this.#silence.stop();
    this.#isOver = true;
    this.#end.destroy('cancelled');
  }

  pause(): void {
    this.#end.pauseReading();
  }

  resume(): void {
    this.#end.resumeReading();
  }
}
