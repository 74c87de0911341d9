/**
 * A gRPC server and a connection to it, as a stage for scripts. What both sides see is kept in words, so that grpc-js
 * with a real server can be held against the double.
 */
import type {
  ConnectGrpc,
  GrpcConnection,
} from '../../src/upstream/grpc-client/grpc-connection.ts';

export const UNARY = '/t.T/Unary';
export const SOURCE = '/t.T/Source';
export const STREAM = '/t.T/Stream';

/** A call, as the server has it. */
export interface Served {
  say(text: string): void;
  end(code?: number, details?: string): void;
  refuse(): void;
  pause(): void;
  resume(): void;
}

export abstract class GrpcStage implements AsyncDisposable {
  /** What the server saw. */
  readonly served: string[] = [];
  /** What the client saw. */
  readonly seen: string[] = [];
  /** Calls that have come, of all connections. */
  readonly calls: Served[] = [];
  #connection: GrpcConnection | null = null;

  /** Made at its first use. */
  get connection(): GrpcConnection {
    const dial = { address: this.address, authority: '', tls: null, receiveBytesMax: 1 << 26 };
    this.#connection ??= this.connect(dial, {
      http2Goaway: (why) => this.seen.push(`goaway ${why}`),
      streamsMax: (max) => max < 100 && this.seen.push(`streams ${max}`),
    });
    return this.#connection;
  }

  /** The newest call, once it has come. */
  async call(nth: number): Promise<Served> {
    await this.until(() => this.calls.length >= nth, `call ${nth}`);
    return this.calls[nth - 1]!;
  }

  sees(...lines: string[]): Promise<void> {
    return this.until(
      () => lines.every((line) => this.seen.includes(line)),
      `seen ${lines.join()}`,
    );
  }

  serves(...lines: string[]): Promise<void> {
    const all = (): boolean => lines.every((line) => this.served.includes(line));
    return this.until(all, `served ${lines.join()}`);
  }

  abstract readonly address: string;
  protected abstract readonly connect: ConnectGrpc;
  abstract until(look: () => boolean, what: string): Promise<void>;
  /** Milliseconds since the epoch. */
  abstract now(): number;
  abstract listen(streamsMax?: number): Promise<void>;
  /** Ends every connection, and listens no more. */
  abstract kill(): Promise<void>;
  abstract goaway(): void;
  /** The next connection leads nowhere. */
  abstract hang(): void;
  /** The connection that had led nowhere may lead somewhere, and so do others. */
  abstract mend(): void;
  /** Nothing comes or goes any more on the connections that there are; nobody is told. */
  abstract freeze(): void;

  [Symbol.asyncDispose](): Promise<void> {
    this.#connection?.close();
    return this.kill();
  }
}

/** Long ones by their length. */
export function shown(message: Buffer): string {
  return message.length > 100 ? `${message.length} bytes` : message.toString();
}
