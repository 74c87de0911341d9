/**
 * What operators order for the whole fleet while it runs: who is kept out, and what is paused. Every gateway has all of
 * it, and it ends with the last of them.
 */
import { inBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { JsonObject } from '../contract/commands.ts';
import { errorText, type Failure, failure } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { type Block, type Blocked, blockedOf, faultInReason, keyOf, TIME_MAX } from './block.ts';
import type { BlockIndex } from './block-index.ts';
import type { BlockList, BlockSource } from './block-list.ts';
import type { Evictions } from './evictions.ts';
import type { Maintenance, Pause } from './maintenance.ts';
import { faultInPause, pauseJson, readPause } from './pause-json.ts';
import { type Entry, Replica } from './replica.ts';

/** Blocks that may be set through Control, and of those the rules for clients. */
export const BLOCKS_MAX = 10_000;
const CLIENT_RULES_MAX = 1_000;
/** The key of the pause of the whole fleet. */
const PAUSE = 'maintenance';

/** What the other gateways did with an order. */
export type Told = {
  /** Sessions that they have closed. */
  readonly closed: number;
  /** How many have answered. */
  readonly gateways: number;
  readonly silentGateways: readonly string[];
};

/** The way to the other gateways. */
export interface OrderNews {
  /** Tells them of entries, and waits a moment for their answers. Never rejects. */
  tell(entries: readonly Entry[]): Promise<Told>;
}

/** The same of all gateways, this one among them. */
export type Outcome = Told;

/** A block with where it comes from. */
export type ListedBlock = Block & {
  readonly source: BlockSource;
  /** When it was set, in milliseconds since the epoch, and on which gateway; 0 and '' for one of the file. */
  readonly setAtWall: number;
  readonly by: string;
};

export type OrdersParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly blocks: BlockList;
  readonly maintenance: Maintenance;
  readonly evictions: Evictions;
};

export class Orders {
  readonly blocks: BlockList;
  readonly maintenance: Maintenance;
  readonly replica: Replica;
  readonly #parts: OrdersParts;
  #news: OrderNews = NOBODY;
  /** Since the last time that sessions were closed for them. */
  #added: Block[] = [];

  constructor(parts: OrdersParts) {
    this.#parts = parts;
    this.blocks = parts.blocks;
    this.maintenance = parts.maintenance;
    this.replica = new Replica(
      parts,
      (key, entry) => {
        this.#onChange(key, entry);
      },
      () => {
        parts.log.warn('too many blocks to remember: the oldest were forgotten');
      },
    );
    parts.metrics.watch('pith_maintenance_state', [], () => (this.maintenance.isOn ? 1 : 0));
  }

  /** Completes the construction: the bus needs the orders, the orders need the bus. */
  attach(news: OrderNews): void {
    this.#news = news;
  }

  // ---- blocks -------------------------------------------------------------------------------------------

  /** @param lastsMs 0: until it is removed. */
  async block(
    blocked: Blocked,
    { reason, lastsMs }: { reason: string; lastsMs: number },
  ): Promise<Outcome | Failure> {
    const refused = this.#refusal(blocked, reason);
    if (refused !== null) return refused;
    const { clock, log } = this.#parts;
    const until = lastsMs === 0 ? 0 : Math.min(TIME_MAX, Math.ceil(clock.wallNow() + lastsMs));
    const entry = this.replica.put(keyOf(blocked), reason === '' ? {} : { reason }, until);
    // They hear of it before this gateway begins to close sessions.
    const others = this.#news.tell([entry]);
    const closedHere = await this.#evict();
    const outcome = allOf(closedHere, await others);
    log.info({ ...orderFields(blocked, reason, until), ...outcome }, 'blocked');
    return outcome;
  }

  #refusal(blocked: Blocked, reason: string): Failure | null {
    const fault = faultInReason(reason);
    if (fault !== '') return failure('BAD_ARGUMENT', fault);
    const { control } = this.blocks;
    if (control.get(keyOf(blocked)) !== undefined) return null;
    if (control.size >= BLOCKS_MAX)
      return failure(
        'TOO_LARGE',
        `${BLOCKS_MAX} blocks are set; put lasting ones into blocks.file`,
      );
    if (blocked.kind === 'client' && control.sizeOf('client') >= CLIENT_RULES_MAX)
      return failure('TOO_LARGE', `${CLIENT_RULES_MAX} blocks of clients are set`);
    return null;
  }

  /** Whether it was there, and how many gateways have heard that it is removed. */
  async unblock(blocked: Blocked): Promise<Outcome & { readonly found: boolean }> {
    const entry = this.replica.remove(keyOf(blocked));
    if (entry === undefined) return { ...allOf(0, NOT_TOLD), found: false };
    const outcome = allOf(0, await this.#news.tell([entry]));
    this.#parts.log.info({ ...orderFields(blocked, '', 0), ...outcome }, 'unblocked');
    return { ...outcome, found: true };
  }

  /**
   * All that count, sorted by what is blocked; one that is set and in the file is there twice. They are found as they are
   * asked for, as they were at first.
   *
   * @param after The place of the one that they follow; '': from the first.
   */
  *list(after = ''): Generator<ListedBlock> {
    const { control, file, counts } = this.blocks;
    const [key, source] = placeIn(after);
    const set = control.all();
    const filed = file.all();
    let i = firstAfter(set, key, source === '');
    let j = firstAfter(filed, key, source !== 'file');
    while (i < set.length || j < filed.length) {
      const isSet = i < set.length && (j >= filed.length || keyOf(set[i]!) <= keyOf(filed[j]!));
      const block = isSet ? set[i++]! : filed[j++]!;
      if (!counts(block)) continue;
      yield isSet ? this.#setBlock(block) : { ...block, source: 'file', setAtWall: 0, by: '' };
    }
  }

  /** One that Control has set; undefined: it has not, or it has ended. */
  listed(blocked: Blocked): ListedBlock | undefined {
    const block = this.blocks.control.get(keyOf(blocked));
    return block && this.blocks.counts(block) ? this.#setBlock(block) : undefined;
  }

  #setBlock(block: Block): ListedBlock {
    const { at = 0, by = '' } = this.replica.get(keyOf(block)) ?? {};
    return { ...block, source: 'control', setAtWall: Math.min(TIME_MAX, at), by };
  }

  /**
   * What `blocks.file` holds now; what was in it no longer counts. Sessions that are blocked now are closed.
   *
   * @returns Whether it is something else than before.
   */
  setFile(blocks: BlockIndex): boolean {
    const before = this.blocks.file;
    this.blocks.file = blocks;
    const changed = blocks.newTo(before);
    if (changed.length === 0 && before.size === blocks.size) return false;
    const added = changed.filter(this.blocks.counts);
    for (const block of added) this.#added.push(block);
    inBackground(
      this.#evict().then((closed) => {
        if (closed > 0)
          this.#parts.log.info(
            { closed, blocks: added.length },
            'sessions were blocked by blocks.file',
          );
      }),
      this.#onFault,
    );
    return true;
  }

  // ---- maintenance --------------------------------------------------------------------------------------

  /** @param pause null: it ends. */
  async pauseFleet(pause: Pause | null): Promise<Outcome | Failure> {
    const fault = pause === null ? '' : faultInPause(pause);
    if (fault !== '') return failure('BAD_ARGUMENT', fault);
    const entry =
      pause === null ? this.replica.remove(PAUSE) : this.replica.put(PAUSE, pauseJson(pause), 0);
    return allOf(0, entry === undefined ? NOT_TOLD : await this.#news.tell([entry]));
  }

  /** Of this gateway alone. */
  pauseHere(pause: Pause | null): Failure | null {
    const fault = pause === null ? '' : faultInPause(pause);
    if (fault !== '') return failure('BAD_ARGUMENT', fault);
    const { clock, gatewayId: by } = this.#parts;
    this.#pause('gateway', pause === null ? null : { ...pause, sinceWall: clock.wallNow(), by });
    return null;
  }

  /** What the configuration says. */
  configure(pause: Pause | null): void {
    const { clock, gatewayId: by } = this.#parts;
    const before = this.maintenance.of('configuration');
    const sinceWall = before?.sinceWall ?? clock.wallNow();
    this.#pause('configuration', pause === null ? null : { ...pause, sinceWall, by });
  }

  #pause(...[source, pause]: Parameters<Maintenance['set']>): void {
    const wasOn = this.maintenance.of(source) !== undefined;
    this.maintenance.set(source, pause);
    const { log } = this.#parts;
    if (pause !== null) {
      const { routes, message, by } = pause;
      log.info({ source, routes, message, by }, 'maintenance has begun');
    } else if (wasOn) log.info({ source, stillOn: this.maintenance.isOn }, 'maintenance has ended');
  }

  // ---- what comes from the others -----------------------------------------------------------------------

  /** Takes what they know. Returns how many sessions were closed for it. */
  async merge(entries: readonly Entry[]): Promise<number> {
    if (this.replica.merge(entries).length === 0) return 0;
    const blocks = this.#added.length;
    const closed = await this.#evict();
    if (closed > 0)
      this.#parts.log.info({ closed, blocks }, 'sessions were blocked by another gateway');
    return closed;
  }

  #onChange(key: string, entry: Entry | null): void {
    if (key === PAUSE) {
      const pause = entry === null ? null : readPause(entry.value);
      this.#pause('fleet', pause && { ...pause, sinceWall: entry!.at, by: entry!.by });
      return;
    }
    const blocked = blockedOf(key);
    // Of a later release; kept for the others.
    if (blocked === null) return;
    if (entry === null) {
      this.blocks.control.remove(key);
      return;
    }
    const reason = entry.value?.['reason'];
    const block = {
      ...blocked,
      reason: typeof reason === 'string' ? reason : '',
      until: Math.min(TIME_MAX, entry.until),
    };
    this.blocks.control.add(block);
    this.#added.push(block);
  }

  /** The sessions have come later than the orders: closes those that are blocked. */
  async evictLate(): Promise<void> {
    const closed = await this.#evict();
    if (closed > 0) this.#parts.log.info({ closed }, 'sessions were blocked during an upgrade');
  }

  async #evict(): Promise<number> {
    const added = this.#added;
    this.#added = [];
    return added.length === 0 ? 0 : this.#parts.evictions.close(added);
  }

  readonly #onFault = (error: unknown): void => {
    this.#parts.log.error({ err: errorText(error) }, 'blocked sessions could not be closed');
  };
}

/** Where a block is in the list. */
export function placeOf(block: ListedBlock): string {
  return `${keyOf(block)} ${block.source}`;
}

/** Its key and its source. */
function placeIn(place: string): [key: string, source: string] {
  const space = place.lastIndexOf(' ');
  return space < 0 ? [place, ''] : [place.slice(0, space), place.slice(space + 1)];
}

/** The first of the sorted blocks whose key is greater, or is that one. */
function firstAfter(blocks: readonly Block[], key: string, mayBeSame: boolean): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const own = keyOf(blocks[middle]!);
    if (own > key || (mayBeSame && own === key)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function orderFields({ kind, value }: Blocked, reason: string, until: number): JsonObject {
  return {
    [kind]: value,
    ...(reason !== '' && { why: reason }),
    ...(until > 0 && { until: new Date(until).toISOString() }),
  };
}

function allOf(closed: number, others: Told): Outcome {
  return { ...others, closed: closed + others.closed, gateways: others.gateways + 1 };
}

const NOT_TOLD: Told = { closed: 0, gateways: 0, silentGateways: [] };
const NOBODY: OrderNews = { tell: () => Promise.resolve(NOT_TOLD) };
