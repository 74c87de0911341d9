/** A TCP way to a port that a test can cut, as when a machine or a network dies: no goodbye, no way back. */
import { once } from 'node:events';
import net from 'node:net';

export type Cable = AsyncDisposable & {
  readonly port: number;
  /** Ends all connections hard and takes no new ones. */
  cut(): void;
  /** Takes connections again. */
  mend(): void;
  /** Holds back everything, both ways, without ending anything. */
  freeze(): void;
  /** Passes on what was held back, and all else. */
  thaw(): void;
  /** Takes nothing more from the near end, and tells it `signOfLife` again and again; returns what ends it all. */
  choke(signOfLife: string): () => void;
  /** The next connections, so many, are taken and lead nowhere. */
  swallow(count: number): void;
};

export async function layCable(to: number): Promise<Cable> {
  const sockets = new Set<net.Socket>();
  /** The far end of each near one. */
  const ends = new Map<net.Socket, net.Socket>();
  let whole = true;
  let toSwallow = 0;
  const server = net.createServer((near) => {
    if (!whole) {
      near.resetAndDestroy();
      return;
    }
    if (toSwallow > 0) {
      toSwallow--;
      sockets.add(near);
      near.on('error', () => {});
      near.on('close', () => {
        sockets.delete(near);
      });
      return;
    }
    const far = net.connect({ port: to, host: '127.0.0.1', noDelay: true });
    near.setNoDelay(true);
    ends.set(near, far);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        ends.delete(near);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    cut() {
      whole = false;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    mend() {
      whole = true;
    },
    freeze() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    thaw() {
      for (const [near, far] of ends) {
        near.pipe(far);
        far.pipe(near);
      }
    },
    choke(signOfLife) {
      for (const near of ends.keys()) near.unpipe().pause();
      const timer = setInterval(() => {
        for (const near of ends.keys()) near.write(signOfLife);
      }, 500);
      return () => {
        clearInterval(timer);
        for (const near of ends.keys()) near.destroy();
      };
    },
    swallow(count) {
      toSwallow = count;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
