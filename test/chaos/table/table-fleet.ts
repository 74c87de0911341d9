/** Three gateways with one policy, each a process, and the players on them: by their names, whatever their sids are. */
import type { NatsConnection } from 'nats';

import { admin } from '../../support/admin.ts';
import type { Cable } from '../../support/cable.ts';
import { TestClient } from '../../support/client.ts';
import { headersOf, serve as serveNats, tellJson, type Words } from '../../support/nats-backend.ts';
import { type BusEvent, Presence } from '../../support/presence.ts';
import { serve, type Served } from '../../support/serve.ts';
import { eventually } from '../../support/wait.ts';
import type { Bus } from './buses.ts';

const NAMES = ['one', 'two', 'three'];

export type Gateway = { readonly id: string; readonly served: Served; readonly cable: Cable };
export type Player = { readonly name: string; readonly client: TestClient; readonly sid: string };

type Json = Record<string, unknown>;

export class TableFleet implements AsyncDisposable {
  readonly prefix: string;
  readonly nc: NatsConnection;
  readonly presence: Presence;
  readonly gateways: Gateway[] = [];
  readonly players: Player[] = [];
  /** Ids and sids, by what they are called in the table. */
  readonly #names = new Map<string, string>();
  #lastInbox = 0;

  private constructor(prefix: string, nc: NatsConnection, presence: Presence) {
    this.prefix = prefix;
    this.nc = nc;
    this.presence = presence;
  }

  /** @param yaml Other keys of the configuration; `more` backends and routes besides the one that says who asks. */
  static async start(
    bus: Bus,
    prefix: string,
    yaml: string,
    more: { backends?: string; routes?: string } = {},
  ): Promise<TableFleet> {
    const nc = await bus.connect();
    const fleet = new TableFleet(prefix, nc, await Presence.on(nc, prefix));
    await serveNats(nc, `${prefix}.rpc.who.>`, (msg) => ({
      body: JSON.stringify({ sid: msg.headers!.get('Pith-Sid') }),
    }));
    try {
      // One after the other: the first is the oldest.
      for (const [i, name] of NAMES.entries()) {
        const cable = await bus.layTo(i);
        const served = await serve(`
id: ${name}
bus: nats://127.0.0.1:${cable.port}
nats: { prefix: ${prefix} }
backends:
  who: { nats: {} }
${more.backends ?? ''}
routes:
  - { match: "who.>", backend: who }
${more.routes ?? ''}
${yaml}`);
        const { gateway: id } = (await served.logged('listening')) as unknown as Gateway['served'] & { gateway: string }; // prettier-ignore
        fleet.gateways.push({ id, served, cable });
        fleet.#names.set(id, name);
      }
      for (const i of NAMES.keys()) await fleet.whole(i);
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
    return fleet;
  }

  /** Until this gateway reaches all of them. */
  async whole(i = 0): Promise<void> {
    await eventually(
      async () => (await this.control(i, 'GetPresence', { uids: ['x'] }))['gateways'] === 3,
      'three gateways',
    );
  }

  /** Connects to the gateway with this number. */
  async join(name: string, i: number, patch: Json = {}): Promise<Player> {
    const client = await TestClient.connect(this.gateways[i]!.served.port);
    client.heartbeatAfterMs = 0;
    const { sid } = (await client.request('who.am.i')) as { sid: string };
    const player = { name, client, sid };
    this.#names.set(sid, name);
    this.players.push(player);
    if (Object.keys(patch).length > 0) await this.verb(`session.${sid}.patch`, patch);
    return player;
  }

  /** A method of Control on the gateway with this number: its answer, or the reason of the refusal. */
  async control(i: number, method: string, request: object): Promise<Json> {
    const { lines } = await admin(this.gateways[i]!.served, method, request);
    const [line = {}] = lines;
    const { code, reason } = (line['error'] ?? {}) as Json;
    return code === undefined ? line : { code, reason };
  }

  verb(subject: string, payload: unknown = '', words: Words = {}): Promise<Json> {
    return tellJson(this.nc, `${this.prefix}.${subject}`, payload, words);
  }

  /** Sends a verb as a request, and keeps whatever is answered, by however many gateways. */
  ask(subject: string, words: Words = {}): Json[] {
    const reply = `_INBOX.table.${this.prefix}.${++this.#lastInbox}`;
    const answers: Json[] = [];
    this.nc.subscribe(reply, {
      callback: (_, msg) => {
        answers.push(msg.headers?.code === 503 ? { nobody: true } : msg.json<Json>());
      },
    });
    this.nc.publish(`${this.prefix}.${subject}`, '{}', { reply, headers: headersOf(words) });
    return answers;
  }

  /** What is told of a session, by name, in order; `again`: it was there before. */
  eventsOf({ sid }: Player): string[] {
    return this.#namesOf((event) => event.session?.sid === sid);
  }

  #namesOf(is: (event: BusEvent) => boolean): string[] {
    return this.presence.all
      .filter(is)
      .map(({ name, again }) => (again === true ? 'again' : name.replace(/^\w+\./, '')));
  }

  /** The same of a gateway: but for its signs of life, and what is told of its sessions. */
  eventsOfGateway(i: number): string[] {
    const { id } = this.gateways[i]!;
    return this.#namesOf(({ name, gateway }) => gateway === id && name !== 'gateway.alive');
  }

  /** With names instead of ids. */
  named(value: unknown): unknown {
    let text = JSON.stringify(value);
    for (const [id, name] of [...this.#names].reverse()) text = text.replaceAll(id, name);
    return JSON.parse(text) as unknown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { client } of this.players) client.close();
    for (const { served } of this.gateways) await served[Symbol.asyncDispose]();
  }
}
