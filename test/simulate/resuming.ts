/**
 * Players that ask for resume tokens and come back with them, in some runs; and the rules: what they come back to is
 * what their token says, no two sessions of one lineage are left, and who was kicked does not come back.
 */
import { TokenBox } from '../../src/resume/token-box.ts';
import { readState, type ResumeState } from '../../src/resume/resume-state.ts';
import type { SimGateway } from './gateway.ts';
import { type Link, SENT_AWAY, type Surroundings } from './player-link.ts';
import type { SeededRandom } from './random.ts';
import type { Client } from './records.ts';
import type { Seasons } from './seasons.ts';
import type { World } from './world.ts';

const KEY = Buffer.alloc(32, 7);
const YAML = `resume: { window: 90s, keys: [${KEY.toString('base64')}] }`;

const SAME = 'who comes back is who it was';
const ONE = 'in fair weather a lineage has one session';
const KICKED = 'nobody comes back to the gateway that kicked it';

/** The players of one run. */
export class Resuming {
  readonly checks = { [SAME]: 0, [ONE]: 0, [KICKED]: 0 };
  readonly #world: World;
  readonly #box = new TokenBox([KEY], 'test');
  /** Lineages whose players were kicked, and the gateways that did. */
  readonly #kicked = new Map<string, string>();

  readonly #seasons: Seasons;

  constructor(world: World, seasons: Seasons) {
    this.#world = world;
    this.#seasons = seasons;
  }

  /** Of `sessions` in each gateway's configuration; '': nobody gets a token. */
  get yaml(): string {
    return this.#seasons.current.hasTokens ? YAML : '';
  }

  /** Two of three players ask, where there are tokens. */
  asks(index: number): boolean {
    return this.yaml !== '' && index % 3 !== 0;
  }

  /** A player with a token has come back to a gateway: what it is now. */
  resumed(client: Client, token: string, gatewayId: string): ResumeState {
    const state = this.#read(token);
    this.checks[KICKED]++;
    if (gatewayId !== '' && this.#kicked.get(state.lineage) === gatewayId)
      this.#world.violate(KICKED, `${client.name} is ${state.lineage} again`);
    client.uid = state.uid;
    if (state.uid !== '') client.uids.add(state.uid);
    const groups = state.groups.map(({ name }) => name);
    for (const name of groups) client.groups.add(name);
    client.resumed = { uid: state.uid, groups: new Set(groups) };
    return state;
  }

  /** The session that it has now is the one that the token was made of, unless it has changed since. */
  expectSame(
    client: Client,
    state: ResumeState,
    gateways: readonly SimGateway[],
    isFair: boolean,
  ): void {
    if (isFair) this.expectStill(gateways);
    for (const { gateway, config } of gateways) {
      // Where a backend is asked, it may have changed the session; and memberships may have ended since.
      const mayDiffer = state.groups.some(({ endsAtWall }) => endsAtWall > 0);
      if (config.auth.mode === 'connect' || mayDiffer) continue;
      for (const { resuming, uid, data, groups, version } of gateway.registry.all()) {
        // 0: another connection with the same token, which waits for its uid. Above 1: it has changed since.
        if (resuming?.resumedFrom !== state.sid || version !== 1) continue;
        this.checks[SAME]++;
        const [is, was] = [
          { uid, data, groups: [...groups].sort() },
          { uid: state.uid, data: state.data, groups: state.groups.map(({ name }) => name).sort() },
        ].map((one) => JSON.stringify(one));
        if (is !== was) this.#world.violate(SAME, `${client.name}: ${is}, was ${was}`);
      }
    }
  }

  /** A player was kicked, and is not to come back by the token that it has. */
  kicked(token: string, gatewayId: string): void {
    if (token !== '') this.#kicked.set(this.#read(token).lineage, gatewayId);
  }

  /** Nothing goes wrong now. */
  expectStill(gateways: readonly SimGateway[]): void {
    const sids = new Map<string, string>();
    for (const { gateway } of gateways)
      for (const { resuming, sid } of gateway.registry.all()) {
        if (resuming === null) continue;
        this.checks[ONE]++;
        const other = sids.get(resuming.lineage);
        sids.set(resuming.lineage, sid);
        if (other !== undefined)
          this.#world.violate(ONE, `${resuming.lineage} has ${other} and ${sid}`);
      }
  }

  #read(token: string): ResumeState {
    return readState(this.#box.open(token)!)!;
  }
}

/** What a player keeps of its tokens. */
export class Wallet {
  #token = '';
  readonly #index: number;
  readonly #around: Surroundings;
  readonly #random: SeededRandom;

  constructor(index: number, name: string, around: Surroundings) {
    this.#around = around;
    this.#index = index;
    this.#random = around.world.random(`tokens/${name}`);
  }

  /** The `user` block that it says. */
  get user(): object {
    const isAsking = this.#around.resuming.asks(this.#index);
    return isAsking ? { pith: { resume: this.#token } } : {};
  }

  /** @param pith What the answer to its handshake says. */
  greeted(link: Link, pith: { resume: string; resumed?: true } | undefined): void {
    const { resuming, running, ledger } = this.#around;
    if (pith?.resumed) {
      const state = resuming.resumed(link.client, this.#token, this.#gatewayOf(link));
      resuming.expectSame(link.client, state, running(), ledger.fairWeather.isFair);
    }
    this.#token = pith?.resume ?? '';
  }

  /** True for a push that is for it. */
  takes({ route, body }: { route: string; body: string }): boolean {
    if (route !== 'pith.resume') return false;
    this.#token = (JSON.parse(body) as { token: string }).token;
    return true;
  }

  kicked(link: Link): void {
    if (!SENT_AWAY.test(link.kicked))
      this.#around.resuming.kicked(this.#token, this.#gatewayOf(link));
  }

  /** It can come back to the session that it has. */
  get hasToken(): boolean {
    return this.#token !== '';
  }

  /** It has left; some come back as if they had not. */
  left(): void {
    if (this.#token !== '' && this.#random.chance(0.5)) this.#token = '';
  }

  #gatewayOf({ address }: Link): string {
    const running = this.#around.running().find((one) => one.address === address);
    return running?.gateway.id ?? '';
  }
}
