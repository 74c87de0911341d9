/** What events have said: presence by the ten lines of proto/README.md, and the story of each session. */
import type { Json } from './operator.ts';

type EventSession = { readonly sid: string; readonly gateway: string; readonly uid: string };

export class Heard {
  /** By gateway: sid and uid. */
  readonly here = new Map<string, Map<string, string>>();
  /** By sid: what was said of it. */
  readonly told = new Map<string, string[]>();
  /** Gateways that were said to be lost, and in which term last. */
  readonly lost = new Map<string, number>();
  /** What no gateway may say. */
  readonly wrong: string[] = [];
  readonly #terms = new Map<string, number>();
  /** By gateway and term. */
  readonly #ids = new Map<string, string>();
  readonly #seqs = new Map<string, number>();

  take(name: string, event: Json): void {
    const session = event['session'] as EventSession | undefined;
    const gateway = session?.gateway ?? (event['gateway'] as string);
    if (name === 'gateway.alive') return;
    if (name === 'gateway.lost' || name === 'gateway.returned') {
      this.#reset(name, gateway, event);
      return;
    }
    const seq = Number(event['seq']);
    const last = this.#seqs.get(gateway) ?? 0;
    // It was published again, because it may have been lost with a connection.
    if (seq <= last) return;
    if (seq !== last + 1) this.wrong.push(`${gateway} says ${name} as ${seq}, after ${last}`);
    this.#seqs.set(gateway, seq);
    if (session !== undefined) this.#apply(name.slice('session.'.length), session, event);
  }

  #reset(name: string, gateway: string, event: Json): void {
    const term = event['term'] as number;
    if (name === 'gateway.returned') this.#seqs.set(gateway, Number(event['seq']));
    else {
      const key = `${gateway} ${term}`;
      const id = event['id'] as string;
      if ((this.#ids.get(key) ?? id) !== id) this.wrong.push(`${gateway} is lost as ${id}, too`);
      this.#ids.set(key, id);
      this.lost.set(gateway, term);
    }
    if (term < (this.#terms.get(gateway) ?? 0)) return;
    this.#terms.set(gateway, term);
    this.here.delete(gateway);
  }

  #apply(name: string, { sid, gateway, uid }: EventSession, event: Json): void {
    let sids = this.here.get(gateway);
    if (sids === undefined) this.here.set(gateway, (sids = new Map()));
    if (name === 'closed') sids.delete(sid);
    else sids.set(sid, uid);
    if (event['again'] === true || name === 'conflict') return;
    let told = this.told.get(sid);
    if (told === undefined) this.told.set(sid, (told = []));
    if (name === 'opened') told.push('opened');
    else if (name === 'bound') told.push(`bound ${uid}`);
    else if (name === 'unbound') told.push(`unbound ${event['uid'] as string}`);
    else told.push(`closed ${event['reason'] as string}`);
  }
}
