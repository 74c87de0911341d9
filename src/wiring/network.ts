/** What touches sockets: a gateway is given it, and all its other parts are the same whatever is behind it. */
import {
  type ClientListener,
  Listener,
  type ListenerOptions,
  type ListenerParts,
} from '../transport/listener.ts';
import { dialNats } from '../upstream/nats/dial.ts';
import type { DialNats } from '../upstream/nats/nats-connection.ts';
import { type ControlParts, type ControlPorts, makeControlPorts } from './control.ts';

export type Network = {
  readonly dialNats: DialNats;
  readonly makeListener: (options: ListenerOptions, parts: ListenerParts) => ClientListener;
  /** Control, admin and health. None listens before it is asked to. */
  readonly makeControlPorts: (parts: ControlParts) => ControlPorts;
};

/** That of the machine. */
export function makeSystemNetwork(): Network {
  return {
    dialNats,
    makeListener: (options, parts) => new Listener(options, parts),
    makeControlPorts,
  };
}
