/** TCP ways to a port, each with a name, that a test can hold: nothing passes, and nothing ends. */
import { once } from 'node:events';
import net from 'node:net';

type Joint = {
  readonly name: string;
  /** The side that has connected, and the server's. */
  readonly near: net.Socket;
  readonly far: net.Socket;
};

export class Cables {
  /** What the next connection is called, where that is not told by `nameOf`. */
  next = '';
  readonly #joints = new Set<Joint>();
  readonly #held = new Set<string>();
  readonly #deaf = new Set<string>();
  readonly #servers: net.Server[] = [];

  /** @param name '': `next`. Returns the port of the near side. */
  async lay(to: number, name = ''): Promise<number> {
    const server = net.createServer((near) => {
      this.#join(near, net.connect({ port: to, host: '127.0.0.1' }), name || this.next);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    return (server.address() as net.AddressInfo).port;
  }

  #join(near: net.Socket, far: net.Socket, name: string): void {
    const joint = { name, near, far };
    this.#joints.add(joint);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('data', (chunk: Buffer) => {
        if (!to.write(chunk)) from.pause();
      });
      to.on('drain', () => {
        if (!this.#isStopped(joint, from)) from.resume();
      });
      from.on('close', () => {
        this.#joints.delete(joint);
        // What has come is passed on before the end is.
        to.end();
        to.destroySoon();
      });
    }
    this.#flow(joint);
  }

  #isStopped({ name, far }: Joint, from: net.Socket): boolean {
    return this.#held.has(name) || (from === far && this.#deaf.has(name));
  }

  #flow(joint: Joint): void {
    for (const socket of [joint.near, joint.far]) {
      if (this.#isStopped(joint, socket)) socket.pause();
      else socket.resume();
    }
  }

  #flowAll(): void {
    for (const joint of this.#joints) this.#flow(joint);
  }

  hold(name: string): void {
    this.#held.add(name);
    this.#flowAll();
  }

  release(name: string): void {
    this.#held.delete(name);
    this.#flowAll();
  }

  /** Ends the connections there are, on both sides. */
  cut(name: string): void {
    for (const joint of [...this.#joints]) {
      if (joint.name !== name) continue;
      joint.near.resetAndDestroy();
      joint.far.resetAndDestroy();
    }
  }

  /** Nothing more is passed on from the server. */
  deafen(name: string): void {
    this.#deaf.add(name);
    this.#flowAll();
  }

  undeafen(name: string): void {
    this.#deaf.delete(name);
    this.#flowAll();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const { near, far } of this.#joints) {
      near.destroy();
      far.destroy();
    }
  }
}
