/**
 * The parent's listening sockets, one for each port, and who gets their connections: of clients the worker with the
 * fewest, of the other ports the first worker that is there.
 */
import net, { type Socket } from 'node:net';

import type { Config } from '../config/schema.ts';
import { type RawHandle, rawHandleOf } from '../transport/raw-handle.ts';
import type { RefusedConnection } from '../transport/refused.ts';
import type { DoorRefusals } from './door-refusals.ts';
import { isOfClients, type ListenAsk, type Listening } from './words.ts';

/** Connections at one door that wait for a worker; more are closed. */
const HELD_MAX = 1_024;

/** A worker as the doors see it. */
export interface Keeper {
  /** By who should get a connection of a client: the least; null: not now. */
  readonly load: number | null;
  /** It has said nothing for so long that it may hang. */
  readonly isSilent: boolean;
  /** Hands it over. @returns False: too many have not reached it yet, so this one is not for it. */
  take(door: string, handle: RawHandle): boolean;
}

export type Untaken = { readonly door: string; readonly handle: RawHandle };

type Door = {
  readonly name: string;
  readonly server: net.Server;
  readonly listening: Promise<Listening>;
  readonly keepers: Set<Keeper>;
  readonly held: RawHandle[];
};

export class Doors {
  readonly #doors = new Map<string, Door>();
  readonly #refusals: DoorRefusals;
  /** Of equals the one after the last takes the next. */
  #turn = 0;
  /** They get none for now. */
  readonly #holding = new Set<Keeper>();

  constructor(refusals: DoorRefusals) {
    this.#refusals = refusals;
  }

  /** Listens unless it does already. Rejects with the operating system's error. */
  async open({ door: name, address, backlog }: ListenAsk, keeper: Keeper): Promise<Listening> {
    let door = this.#doors.get(name);
    if (door === undefined) {
      door = this.#make(name, address, backlog);
      this.#doors.set(name, door);
    }
    const listening = await door.listening;
    door.keepers.add(keeper);
    this.#handHeld(door);
    return listening;
  }

  /** This worker gets no connections until `goOn`; where no other is, they wait. */
  hold(keeper: Keeper): Promise<null> {
    this.#holding.add(keeper);
    return Promise.resolve(null);
  }

  goOn(keeper: Keeper): void {
    if (this.#holding.delete(keeper)) for (const door of this.#doors.values()) this.#handHeld(door);
  }

  /** This worker takes no more. Where none does, the port is closed, unless others are to come. */
  shut(name: string, keeper: Keeper, isLast: boolean): void {
    const door = this.#doors.get(name);
    if (door === undefined) return;
    door.keepers.delete(keeper);
    if (door.keepers.size > 0 || !isLast) return;
    door.server.close();
    for (const handle of door.held.splice(0)) handle.close();
  }

  /** It has gone. @param untaken Connections that it did not get any more: others do. */
  left(keeper: Keeper, untaken: readonly Untaken[]): void {
    this.#holding.delete(keeper);
    for (const { keepers } of this.#doors.values()) keepers.delete(keeper);
    for (const { door: name, handle } of untaken) {
      const door = this.#doors.get(name);
      if (door === undefined) handle.close();
      else this.#hand(door, handle);
    }
  }

  #make(name: string, address: ListenAsk['address'], backlog: number): Door {
    // Nothing is read here: that is for whoever gets the connection.
    const server = net.createServer({ pauseOnConnect: true, noDelay: true });
    const { promise, resolve, reject } = Promise.withResolvers<Listening>();
    const door: Door = { name, server, listening: promise, keepers: new Set(), held: [] };
    server.once('error', reject);
    server.listen({ ...address, backlog }, () => {
      server.off('error', reject);
      server.on('error', (error) => {
        this.#refusals.note(name, 'accept_failed', error.message);
      });
      const bound = server.address();
      resolve({ address: bound === null || typeof bound === 'string' ? null : bound });
    });
    server.on('connection', (socket) => {
      const handle = takenFrom(socket);
      if (handle !== null) this.#hand(door, handle);
    });
    return door;
  }

  #handHeld(door: Door): void {
    for (const handle of door.held.splice(0)) this.#hand(door, handle);
  }

  #hand(door: Door, handle: RawHandle): void {
    const there = answeringOf(door).filter((one) => !this.#holding.has(one));
    const keeper = isOfClients(door.name) ? this.#leastOf(there) : firstOf(there);
    if (keeper !== undefined) {
      if (keeper.take(door.name, handle)) return;
      this.#refuse(door, handle, 'workers_full');
    } else if (door.held.length < HELD_MAX) door.held.push(handle);
    else this.#refuse(door, handle, 'no_worker');
  }

  #refuse({ name }: Door, handle: RawHandle, why: RefusedConnection): void {
    handle.close();
    this.#refusals.note(name, why);
  }

  #leastOf(all: readonly Keeper[]): Keeper | undefined {
    let least: Keeper | undefined;
    let load = Infinity;
    const first = this.#turn++;
    for (let i = 0; i < all.length; i++) {
      const keeper = all[(first + i) % all.length]!;
      if (keeper.load === null || keeper.load >= load) continue;
      least = keeper;
      load = keeper.load;
    }
    return least ?? all[first % all.length];
  }
}

/** Its key in the configuration, and the address there. */
export function placeOf(door: string, config: Config): readonly [key: string, address: string] {
  if (door === 'health' || door === 'admin' || door === 'control')
    return [`${door}.listen`, config[door].listen];
  const index = Number(/\d+/.exec(door)?.[0]);
  return [`${door}.url`, config.listen[index]?.url ?? ''];
}

/** One that takes newcomers knows best how things are. */
function firstOf(all: readonly Keeper[]): Keeper | undefined {
  return all.find(({ load }) => load !== null) ?? all[0];
}

/** Without those that may hang, unless all do. */
function answeringOf({ keepers }: Door): readonly Keeper[] {
  const all = [...keepers];
  const answering = all.filter(({ isSilent }) => !isSilent);
  return answering.length > 0 ? answering : all;
}

/** Takes the handle out of a socket that was accepted here; the socket is of no use any more. null: it has gone. */
function takenFrom(socket: Socket): RawHandle | null {
  const handle = rawHandleOf(socket);
  (socket as unknown as { _handle: null })._handle = null;
  socket.on('error', () => {});
  return handle;
}
