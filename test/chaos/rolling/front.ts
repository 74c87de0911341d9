/** A load balancer over TCP: each connection goes to the next gateway that takes it. */
import { once } from 'node:events';
import net from 'node:net';

export class Front implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Ports of gateways that are ready. */
  #ports: readonly number[] = [];
  #next = 0;

  private constructor() {
    this.#server = net.createServer((near) => {
      near.setNoDelay(true);
      this.#keep(near);
      this.#connect(near, this.#ports.length);
    });
  }

  static async start(): Promise<Front> {
    const front = new Front();
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    return front;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** New connections go to these. */
  use(ports: readonly number[]): void {
    this.#ports = ports;
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
    });
  }

  #connect(near: net.Socket, attempts: number): void {
    const port = this.#ports[this.#next++ % Math.max(1, this.#ports.length)];
    if (attempts === 0 || port === undefined) {
      near.destroy();
      return;
    }
    const far = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#keep(far);
    let isThere = false;
    far.on('connect', () => {
      isThere = true;
      near.pipe(far);
      far.pipe(near);
    });
    near.on('close', () => {
      far.destroy();
    });
    far.on('close', () => {
      // What it has sent before is passed on first.
      if (isThere) near.end();
      else if (!near.destroyed) this.#connect(near, attempts - 1);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }
}
