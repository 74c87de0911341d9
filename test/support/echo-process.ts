/** Goes on with the connections that its parent sends it, as an echo: another process than the one that has taken them. */
import type { RawHandle } from '../../src/transport/raw-handle.ts';
import type { Adopted, Connection, TransportName } from '../../src/transport/transport.ts';
import { makeEchoListener } from './echo-listener.ts';

export type ToEcho =
  /** With the descriptor; it is read from after `go`. */
  | { readonly kind: 'adopt'; readonly transport: TransportName; readonly adopted: Adopted }
  | { readonly kind: 'go' };
export type FromEcho = { readonly kind: 'adopted' | 'counts'; readonly counts?: object };

const { listener, accept, connections } = makeEchoListener();
const going = new WeakSet<Connection>();
const say = (message: FromEcho): void => void process.send!(message);

process.on('message', (message: ToEcho, handle: unknown) => {
  if (message.kind === 'adopt') {
    listener.adopt(handle as RawHandle, message.transport, message.adopted, accept);
    say({ kind: 'adopted' });
    return;
  }
  for (const connection of connections) {
    if (going.has(connection)) continue;
    going.add(connection);
    connection.movable!.goOn();
    say({ kind: 'counts', counts: countsOf(connection) });
  }
});

function countsOf({ readBytes, sentBytes, remoteAddress }: Connection): object {
  return { readBytes, sentBytes, remoteAddress };
}
