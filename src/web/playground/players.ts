/** The sessions of the page, and what they begin with. */
import type { Dialect } from '../../client/client.ts';
import { inBackground } from '../../background.ts';
import { after } from '../shell/clock.ts';
import { keep, kept } from '../shell/kept.ts';
import { filledIn, type Offer } from './offers.ts';
import { Player, type Settings } from './player.ts';

/** Sessions at once. */
export const PLAYERS_MAX = 8;
/** Many pushes are drawn together. */
const DRAW_MS = 30;
const NAMES = ['ann', 'bob', 'carl', 'dora', 'eve', 'finn', 'gus', 'hana'];
const KEY = 'pith.playground';

export class Players {
  all: readonly Player[] = [];
  /** The id of the one that a narrow screen shows. */
  chosen = 0;
  #lastId = 0;
  #watcher: () => void = () => {};
  #isDrawing = false;
  #defaults: Settings;
  /** Nobody has typed another address yet. */
  #isUntouched: boolean;

  constructor() {
    const before = keptSettings();
    this.#isUntouched = before === null;
    this.#defaults = {
      ...{ address: `ws://${location.hostname}:3010`, dialect: 'pomelo', user: '{}' },
      ...before,
    };
    this.add();
  }

  /** @returns Ends it. */
  watch(watcher: () => void): () => void {
    this.#watcher = watcher;
    return () => {
      this.#watcher = () => {};
    };
  }

  /** What the gateway of this page has for browsers: the first is what a session begins with. */
  offer(listeners: readonly { readonly address: string; readonly dialect: string }[]): void {
    const [first] = listeners;
    if (first === undefined || !this.#isUntouched) return;
    this.#isUntouched = false;
    const { address: before } = this.#defaults;
    const settings = { address: first.address, dialect: first.dialect as Dialect };
    this.#defaults = { ...this.#defaults, ...settings };
    for (const player of this.all)
      if (!player.isOpen && player.settings.address === before) player.setSettings(settings);
  }

  add(settings: Settings = this.#defaults): Player {
    const taken = this.all.map(({ name }) => name);
    const name = NAMES.find((one) => !taken.includes(one)) ?? `player ${this.#lastId + 1}`;
    const player = new Player(++this.#lastId, name, settings, this.#changed);
    this.all = [...this.all, player];
    this.choose(player.id);
    return player;
  }

  /** Another with the same settings, connected if that one is. */
  addTwin(player: Player): void {
    if (this.all.length >= PLAYERS_MAX) return;
    const twin = this.add(player.settings);
    if (player.isOpen) inBackground(twin.connect(), () => {});
  }

  /** Two connected sessions, the first of them one that there is; each sends the example, which mostly is a login. */
  async startTwo(example: Offer | undefined): Promise<void> {
    const first =
      this.all.find(({ isOpen, isConnecting }) => !isOpen && !isConnecting) ?? this.add();
    const second = this.all.length < PLAYERS_MAX ? this.add(first.settings) : null;
    for (const player of second === null ? [first] : [first, second]) {
      await player.connect();
      if (!player.isOpen) return;
      if (example !== undefined)
        await player.request(example.route, filledIn(example.body, player.name));
    }
    this.choose(first.id);
    keepSettings(first.settings);
  }

  remove(player: Player): void {
    this.all = this.all.filter((one) => one !== player);
    if (this.chosen === player.id) this.chosen = this.all.at(-1)?.id ?? 0;
    inBackground(player.disconnect(), () => {});
    this.#changed();
  }

  choose(id: number): void {
    this.chosen = id;
    this.#changed();
  }

  readonly #changed = (): void => {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    after(DRAW_MS, () => {
      this.#isDrawing = false;
      this.#watcher();
    });
  };
}

/** Where one connected last. The user block may hold a token, and is not kept. */
export function keepSettings({ address, dialect }: Settings): void {
  keep('browser', KEY, JSON.stringify({ address, dialect }));
}

function keptSettings(): Partial<Settings> | null {
  try {
    const { address, dialect } = JSON.parse(kept('browser', KEY)) as Partial<Settings>;
    return typeof address === 'string' && typeof dialect === 'string' ? { address, dialect } : null;
  } catch {
    return null;
  }
}
