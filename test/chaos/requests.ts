/** What became of the requests that the crowd sent, for the columns that each scenario with clients has. */
import { eventually } from '../support/wait.ts';
import type { Crowd, Tally } from './crowd.ts';
import type { Totals } from './totals.ts';

/** Longer than the default of `timeout`, after which a request is answered with an error. */
const ANSWER_MS = 20_000;

export class Requests {
  readonly #crowd: Crowd;
  #before: Tally;

  private constructor(crowd: Crowd, before: Tally) {
    this.#crowd = crowd;
    this.#before = before;
  }

  /** The crowd asks from now on. */
  static async begin(crowd: Crowd, perSecond: number): Promise<Requests> {
    const requests = new Requests(crowd, await crowd.look());
    await crowd.ask(perSecond);
    return requests;
  }

  /** It asks no more, and what is under way has its time. */
  async end(): Promise<{ cells: Record<string, number>; faults: string[]; totals: Totals }> {
    await this.#crowd.ask(0);
    let now = await this.#crowd.look();
    const isQuiet = async (): Promise<boolean> => {
      now = await this.#crowd.look();
      return now.open === 0;
    };
    await eventually(isQuiet, 'all answers', ANSWER_MS).catch(() => {});
    const since = (name: 'asked' | 'once' | 'twice' | 'refused' | 'cut' | 'crossed'): number =>
      now[name] - this.#before[name];
    const cells = {
      asked: since('asked'),
      once: since('once'),
      refused: since('refused'),
      cut: since('cut'),
      never: now.open,
      again: since('twice'),
      crossed: since('crossed'),
    };
    const faults: string[] = [];
    if (cells.never > 0) faults.push(`${cells.never} requests were never answered`);
    if (cells.again > 0) faults.push(`${cells.again} requests were answered again`);
    if (cells.crossed > 0) faults.push(`${cells.crossed} answers were of another request`);
    const { asked: sent, once, refused, never, again, crossed } = cells;
    return { cells, faults, totals: { sent, once, refused, never, again, crossed } };
  }
}
