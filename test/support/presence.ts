/** Who is there, from events alone: the ten lines of proto/README.md, and when each session was said to be over. */
import type { NatsConnection } from 'nats';

import { Heard } from './nats-backend.ts';
import { eventually } from './wait.ts';

export type BusEvent = {
  readonly name: string;
  readonly seq: string;
  readonly gateway?: string;
  readonly session?: { readonly sid: string; readonly uid: string; readonly gateway: string };
  readonly term?: number;
  readonly [field: string]: unknown;
};

type Ended = { readonly by: 'closed' | 'lost'; readonly at: number };

export class Presence {
  /** By gateway: who is there, sid to uid. */
  readonly here = new Map<string, Map<string, string>>();
  /** By sid: what ended it, each time. */
  readonly ended = new Map<string, Ended[]>();
  /** But for signs of life. */
  readonly all: BusEvent[] = [];
  readonly #named = new Map<string, BusEvent[]>();
  readonly #terms = new Map<string, number>();

  /** @param prefix `nats.prefix` of the gateways. */
  static async on(nc: NatsConnection, prefix = 'pith'): Promise<Presence> {
    const presence = new Presence();
    await Heard.on(nc, `${prefix}.event.>`, (msg) => {
      const name = msg.subject.replace(`${prefix}.event.`, '');
      presence.#take({ ...msg.json<BusEvent>(), name });
    });
    return presence;
  }

  get sids(): string[] {
    return [...this.here.values()].flatMap((sessions) => [...sessions.keys()]).sort();
  }

  /** In the order in which they came. */
  named(name: string): readonly BusEvent[] {
    return this.#named.get(name) ?? [];
  }

  /** Once `count` more signs of life of `gateway` have come: a second each. */
  async seconds(count: number, gateway: string): Promise<void> {
    const signs = (): number =>
      this.named('gateway.alive').filter((event) => event.gateway === gateway).length;
    const before = signs();
    await eventually(() => signs() >= before + count, `${count} s of ${gateway}`);
  }

  #take(event: BusEvent): void {
    const { name, session, gateway = '', term = 0 } = event;
    if (name !== 'gateway.alive') this.all.push(event);
    const alike = this.#named.get(name);
    if (alike === undefined) this.#named.set(name, [event]);
    else alike.push(event);
    if (name === 'session.closed') {
      this.here.get(session!.gateway)?.delete(session!.sid);
      this.#end(session!.sid, 'closed');
    } else if (session !== undefined) {
      const sessions = this.here.get(session.gateway) ?? new Map<string, string>();
      this.here.set(session.gateway, sessions.set(session.sid, session.uid));
    } else if (name === 'gateway.lost' || name === 'gateway.returned') {
      if (term < (this.#terms.get(gateway) ?? 0)) return;
      this.#terms.set(gateway, term);
      if (name === 'gateway.lost')
        for (const sid of this.here.get(gateway)?.keys() ?? []) this.#end(sid, 'lost');
      this.here.delete(gateway);
    }
  }

  #end(sid: string, by: Ended['by']): void {
    this.ended.set(sid, [...(this.ended.get(sid) ?? []), { by, at: performance.now() }]);
  }
}
