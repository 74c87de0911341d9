/**
 * Each round is a storm, then calm: everything is mended, and has time to recover. Then it must work as if nothing had
 * happened, and what the gateways hold must equal what is there; in the end, when all have left, nothing.
 */
import { BlockLists } from './block-lists.ts';
import { CALM_MS, ROUND_MS, STORM_MS } from './faults.ts';
import type { EventLog } from './event-log.ts';
import { FleetQuestions } from './fleet-questions.ts';
import type { SimGateway } from './gateway.ts';
import { pushToAll } from './push-to-all.ts';
import type { Resuming } from './resuming.ts';
import { zeros } from './records.ts';
import { Seasons } from './seasons.ts';
import type { Stage } from './stage.ts';
import type { UidLimits } from './uid-limits.ts';
import { type Node, World } from './world.ts';

/** How long before it is checked nobody asks for anything. */
const REST_MS = 8_000;
/** How long before it one player on each gateway asks: a breaker that is open lets one through, and the rest if that is answered. */
const KNOCK_MS = 600;
/** From the calm on, in milliseconds. */
const PROBES_MS = 12_000;
const STILL_MS = 18_000;
const LEAVE_MS = 30_000;
const EMPTY_MS = 70_000;
/** In which gateways with nobody on them end, and a little later are there again. */
const INVITE_MS = 590_000;
const RESTART_MS = 500;
/** Within this a player must get in, once it is calm. */
const CONNECT_MS_MAX = 45_000;
/** When all has recovered, after everything was mended. */
const FAIR_AFTER_MS = 60_000;

/** What the bus knows of one gateway. */
export type BusView = {
  /** What gateways have told on it. */
  readonly events: EventLog;
  /** Subjects that the process subscribes to, with how often. */
  subscriptions(node: Node): ReadonlyMap<string, number>;
  isSubscribed(node: Node, subject: string): boolean;
  /** When its connection was made; null: it has none, or one and the rest of another. */
  connectedSinceMs(node: Node): number | null;
};

/** At an outbox, until it was empty once; and milliseconds between them. */
const LOOKS_MAX = 3;
const LOOK_MS = 20;

export type RoundsParts = {
  readonly uids: UidLimits;
  readonly resuming: Resuming;
  readonly seasons: Seasons;
};

const RULES = [
  'when it is calm, everybody gets in',
  'when it is calm, every gateway is ready',
  'when it is calm, every backend is connected',
  'when it is calm, everything is answered',
  'sessions are the clients',
  'a push to all reaches all',
  'nothing stays in flight',
  'nothing stays in an outbox',
  'counters are what happened',
  'no internal error',
  'subscriptions are the users',
  'subscriptions are the groups',
  'who is bound is who was bound',
  'when all have left, no session is left',
  'backends are told of every end',
] as const;

export class Rounds {
  readonly checks = zeros(RULES);
  readonly questions: FleetQuestions;
  readonly blockLists: BlockLists;
  readonly #stage: Stage;
  readonly #world: World;
  readonly #bus: BusView | null;
  readonly #parts: RoundsParts;
  #round = 0;

  /** @param bus null: there is none. */
  constructor(stage: Stage, bus: BusView | null, parts: RoundsParts) {
    this.#stage = stage;
    this.questions = new FleetQuestions(stage);
    this.blockLists = new BlockLists(stage);
    this.#parts = parts;
    this.#world = stage.world;
    this.#bus = bus;
    this.#begin();
  }

  #begin(): void {
    const { backends, players } = this.#stage;
    const at = (ms: number, what: () => void): void => {
      this.#world.after(ms, what);
    };
    at(STORM_MS, () => {
      this.#world.trace('CALM');
      this.#stage.calm.mend();
    });
    at(STORM_MS + FAIR_AFTER_MS, () => {
      this.#stage.ledger.ends.calm();
      this.#stage.ledger.fairWeather.begin();
    });
    at(CALM_MS - REST_MS, () => {
      // What was asked before is answered by then, however long it takes.
      for (const one of [...players, ...backends]) one.isResting = true;
    });
    at(CALM_MS - KNOCK_MS, () => {
      this.#knock();
    });
    at(CALM_MS, () => {
      this.#expectConnected();
      this.#probe();
    });
    at(CALM_MS + STILL_MS, () => {
      this.#expectStill();
    });
    at(CALM_MS + LEAVE_MS, () => {
      this.#stage.ledger.fairWeather.end();
      for (const player of players) player.ban();
    });
    at(CALM_MS + EMPTY_MS, () => {
      this.#expectEmpty();
      this.#round++;
      if (Seasons.endsAfter(this.#round)) this.#change();
      for (const one of [...players, ...backends]) one.isResting = false;
    });
    at(INVITE_MS, () => {
      for (const player of players) player.invite();
    });
    at(ROUND_MS, () => {
      this.#world.trace(`ROUND ${this.#round}`);
      this.#begin();
    });
  }

  /** Nobody is there: all gateways are started again, with what they have in common in the next season. */
  #change(): void {
    const { gateways } = this.#stage;
    this.#parts.seasons.next();
    for (const place of gateways.all) gateways.drain(place, RESTART_MS);
  }

  #check(rule: (typeof RULES)[number], isHeld: boolean, what: string): void {
    this.checks[rule]++;
    if (!isHeld) this.#world.violate(rule, what);
  }

  // ---- it works again -----------------------------------------------------------------------------------

  #expectConnected(): void {
    for (const { name, triesSinceMs } of this.#stage.players) {
      const sinceMs = Math.max(triesSinceMs, this.#world.nowMs - (CALM_MS - STORM_MS));
      const isWell = triesSinceMs < 0 || this.#world.nowMs - sinceMs < CONNECT_MS_MAX;
      this.#check(
        'when it is calm, everybody gets in',
        isWell,
        `${name} tries since ${Math.round(triesSinceMs)}`,
      );
    }
    for (const { place, current } of this.#stage.gateways.all) {
      this.#check('when it is calm, every gateway is ready', current?.isReady === true, place);
      for (const { name, addresses, healthy } of current?.gateway.info().backends ?? [])
        this.#check(
          'when it is calm, every backend is connected',
          healthy === addresses,
          `${place}: ${healthy} of ${addresses} of ${name}`,
        );
    }
  }

  #knock(): void {
    for (const { place } of this.#stage.gateways.all)
      this.#stage.players.find(({ address }) => address === place)?.probe(() => {});
  }

  #probe(): void {
    const rule = 'when it is calm, everything is answered';
    let asked = 0;
    let answered = 0;
    for (const player of this.#stage.players) {
      const before = player.client;
      asked += player.probe((route, code, reason) => {
        answered++;
        this.#check(
          rule,
          code === 200,
          `${before?.name} at ${player.address}: ${route}: ${code} ${reason}`,
        );
      });
    }
    this.#world.after(PROBES_MS, () => {
      this.#check(rule, answered === asked, `${asked - answered} of ${asked} were not answered`);
    });
  }

  // ---- what is held is what is there --------------------------------------------------------------------

  #expectStill(): void {
    for (const gateway of this.#stage.running) {
      const { name } = gateway.node;
      const here = this.#stage.players.filter(({ address }) => address === gateway.address);
      const { size } = gateway.gateway.registry;
      this.#check(
        'sessions are the clients',
        size === here.length,
        `${name}: ${size} sessions, ${here.length} clients`,
      );
      this.#expectIdle(gateway);
      this.#expectSubscriptions(gateway);
    }
    this.#parts.uids.expectStill();
    this.#parts.resuming.expectStill(this.#stage.running);
    this.#expectEvents();
    this.questions.askStill();
    this.blockLists.expectSame();
    pushToAll(this.#stage, (problem) => {
      this.#check('a push to all reaches all', problem === '', problem);
    });
  }

  #expectEvents(): void {
    const there = this.#stage.running.map(({ gateway: { id, registry } }) => {
      const greeted = [...registry.all()].filter(({ state }) => state === 'active');
      const sids = greeted.map(({ sid }) => sid);
      return [id, new Set(sids)] as const;
    });
    this.#bus?.events.expectTruth(new Map(there));
  }

  #expectIdle(gateway: SimGateway): void {
    const { name } = gateway.node;
    const info = gateway.gateway.info();
    for (const backend of info.backends)
      this.#check(
        'nothing stays in flight',
        backend.inFlight === 0,
        `${name}: ${backend.inFlight} at ${backend.name}`,
      );
    this.#expectSent(gateway);
    const accepted =
      gateway.count('pith_connections_accepted_total', 'ws') +
      gateway.count('pith_connections_accepted_total', 'tcp');
    this.#check(
      'counters are what happened',
      accepted === gateway.accepted,
      `${name}: ${accepted} accepted, ${gateway.accepted} were`,
    );
    const closed = gateway.closed();
    const { size } = gateway.gateway.registry;
    this.#check(
      'counters are what happened',
      closed + size === accepted,
      `${name}: ${accepted} accepted, ${closed} closed, ${size} there`,
    );
    this.#check('no internal error', gateway.count('pith_internal_errors_total') === 0, name);
  }

  /** What is there at this moment, a heartbeat, leaves with the turn. */
  #expectSent(gateway: SimGateway, looks = 0): void {
    const bytes = gateway.gauge('pith_outbox_bytes');
    if (bytes > 0 && looks < LOOKS_MAX)
      this.#world.after(LOOK_MS, () => {
        this.#expectSent(gateway, looks + 1);
      });
    else
      this.#check(
        'nothing stays in an outbox',
        bytes === 0,
        `${gateway.node.name}: ${bytes} bytes`,
      );
  }

  /** One for each user and group that the gateway has a session of, and the fixed ones. */
  #expectSubscriptions(gateway: SimGateway): void {
    if (this.#bus === null) return;
    const uids = new Set<string>();
    const groups = new Set<string>();
    for (const session of gateway.gateway.registry.all()) {
      if (session.uid !== '') uids.add(session.uid);
      for (const group of session.groups) groups.add(group);
    }
    const there = this.#bus.subscriptions(gateway.node);
    let users = 0;
    let rooms = 0;
    for (const [subject, times] of there) {
      if (/^pith\.user\.[^.*]+\.\*$/.test(subject)) users += times;
      if (/^pith\.group\.[^.*]+\.\*$/.test(subject)) rooms += times;
    }
    const { name } = gateway.node;
    this.#check(
      'subscriptions are the users',
      users === uids.size,
      `${name}: ${users} subscriptions, ${uids.size} users`,
    );
    this.#check(
      'subscriptions are the groups',
      rooms === groups.size,
      `${name}: ${rooms} subscriptions, ${groups.size} groups`,
    );
    for (const player of this.#stage.players) {
      const { client } = player;
      if (
        client === null ||
        player.address !== gateway.address ||
        client.uid === null ||
        client.sid === ''
      )
        continue;
      const uid = gateway.gateway.registry.bySid(client.sid)?.uid;
      this.#check(
        'who is bound is who was bound',
        uid === client.uid,
        `${name}: ${client.name} is ${uid}, was bound as ${client.uid}`,
      );
    }
  }

  // ---- when all have left -------------------------------------------------------------------------------

  #expectEmpty(): void {
    const { ledger } = this.#stage;
    for (const gateway of this.#stage.running) {
      const { size } = gateway.gateway.registry;
      this.#check(
        'when all have left, no session is left',
        size === 0,
        `${gateway.node.name}: ${size}`,
      );
      this.#expectIdle(gateway);
      this.#expectSubscriptions(gateway);
    }
    this.#expectEvents();
    for (const { node } of this.#stage.backends) {
      if (node === null || node.isDead) continue;
      const left = ledger.ends.openAt(node.name);
      this.#check(
        'backends are told of every end',
        left.length === 0,
        `${node.name} was not told of ${left.slice(0, 5).join(', ')}`,
      );
    }
  }
}
