/**
 * Binds and joins, as the servers of the bus see them: when a client has the answer, its gateway is subscribed, so that
 * whoever pushes after it reaches the client.
 */
import type { Ask } from './records.ts';
import type { BusView } from './rounds.ts';
import type { SimGateway } from './gateway.ts';
import type { Stage } from './stage.ts';

/** A gateway answers without the confirmation when it has waited for two seconds. */
const CONFIRM_MS_MAX = 1_900;
/** A server knows of a connection that much before its gateway, where one of the two is slow. */
const GREETING_MS = 1_500;
const RULE = 'an answer follows the confirmation of its subscription';

export class Confirmations {
  readonly checks = { [RULE]: 0 };
  readonly #stage: Stage;
  readonly #bus: BusView;

  constructor(stage: Stage, bus: BusView) {
    this.#stage = stage;
    this.#bus = bus;
  }

  /** A client has got the answer to a request that binds it, or has it join groups. */
  answered(ask: Ask): void {
    const { client, plan, sentMs } = ask;
    const { world, running } = this.#stage;
    const gateway = running.find(({ gateway: { id } }) => client.sid.startsWith(`${id}.`));
    const session = gateway?.gateway.registry.bySid(client.sid);
    if (gateway === undefined || session === undefined) return;
    if (world.nowMs - sentMs > CONFIRM_MS_MAX) return;
    const { bind = '', join = [] } = plan;
    // What it has by its token is not new, and whoever waited for that has waited long enough.
    const had = client.resumed;
    if (bind !== '' && session.uid === bind && bind !== had?.uid)
      this.#expect(gateway, ask, `pith.user.${bind}.*`);
    for (const group of join)
      if (session.groups.has(group) && had?.groups.has(group) !== true)
        this.#expect(gateway, ask, `pith.group.${token(group)}.*`, group);
  }

  /** @param group That it has joined; absent: it is bound. */
  #expect(gateway: SimGateway, ask: Ask, subject: string, group?: string): void {
    const { node } = gateway;
    this.checks[RULE]++;
    const since = this.#bus.connectedSinceMs(node);
    // Without a connection, or with a new one, nothing is waited for.
    if (since === null || since > ask.sentMs - GREETING_MS || this.#bus.isSubscribed(node, subject))
      return;
    if (gateway.gauge('pith_bus_up') !== 1) return;
    if (group !== undefined && this.#isChanged(ask, group)) return;
    const what = `${ask.n} of ${ask.client.name}: ${node.name} is not subscribed to ${subject}`;
    this.#stage.world.violate(RULE, what);
  }

  /** Another request of the client may have had it leave, and join again. */
  #isChanged({ n, client }: Ask, group: string): boolean {
    for (const other of this.#stage.ledger.asks.values()) {
      const { join = [], leave = [] } = other.plan;
      if (other.client === client && other.n !== n && [...join, ...leave].includes(group))
        return true;
    }
    return false;
  }
}

/** [proto/README.md: names in subjects] */
function token(name: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name;
  return `=${Buffer.from(name).toString('base64url')}`;
}
