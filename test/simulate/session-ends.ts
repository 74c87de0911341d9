/** Which sessions each backend process has seen, and which of them it was told the end of. */
import type { World } from './world.ts';

export class SessionEnds {
  readonly #world: World;
  /** By process and sid: when it last got something of it. */
  readonly #seen = new Map<string, Map<string, number>>();
  /** By process: sids that it was told the end of. */
  readonly #told = new Map<string, Set<string>>();
  #calmSinceMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** A backend process has got something of a session: it is to be told of its end. */
  saw(process: string, sid: string): void {
    let sids = this.#seen.get(process);
    if (sids === undefined) this.#seen.set(process, (sids = new Map()));
    sids.set(sid, this.#world.nowMs);
  }

  /** A backend process is told that a session has ended. */
  told(process: string, sid: string): void {
    this.#seen.get(process)?.delete(sid);
    let told = this.#told.get(process);
    if (told === undefined) this.#told.set(process, (told = new Set()));
    told.add(sid);
  }

  isTold(process: string, sid: string): boolean {
    return this.#told.get(process)?.has(sid) === true;
  }

  /** From now on nothing goes wrong. */
  calm(): void {
    this.#calmSinceMs = this.#world.nowMs;
  }

  /** Sessions that a backend process saw while nothing went wrong, and was not told the end of. */
  openAt(process: string): string[] {
    const seen = [...(this.#seen.get(process) ?? [])];
    return seen.filter(([, ms]) => ms >= this.#calmSinceMs).map(([sid]) => sid);
  }

  /** Nothing can come of it any more. */
  forgetSession(sid: string): void {
    for (const told of this.#told.values()) told.delete(sid);
  }

  /** A gateway process is over: nobody can be told of its sessions' ends. */
  gatewayEnded(gatewayId: string): void {
    for (const sids of this.#seen.values())
      for (const sid of sids.keys()) if (sid.startsWith(`${gatewayId}.`)) sids.delete(sid);
  }

  forgetProcess(name: string): void {
    this.#seen.delete(name);
    this.#told.delete(name);
  }
}
