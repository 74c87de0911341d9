/**
 * Looks a backend's name up, again and again where that may give other addresses: one lookup at a time, however slow
 * the name server is, and what was known stays in use while it does not answer.
 */
import { inBackground } from '../../background.ts';
import { errorText } from '../../errors.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import { RESOLVE_EVERY_MS, RESOLVE_SOON_MS, type Resolver } from './resolver.ts';

/** Addresses of one backend; more are not used. */
export const ADDRESSES_MAX = 1_000;

export type AddressesOptions = {
  /** For the log. */
  readonly url: string;
  readonly resolver: Resolver;
  readonly wheel: TimerWheel;
  readonly report: BackendReport;
};

export class Addresses {
  readonly #options: AddressesOptions;
  readonly #resolver: Resolver;
  readonly #wheel: TimerWheel;
  readonly #adopt: (addresses: readonly string[]) => void;
  readonly #again: Timeout;
  #lookup: Promise<void> | null = null;
  #lookedUpAt = 0;
  /** Why the last lookup gave nothing, or too much; '' where it was well. */
  #trouble = '';
  #isStopped = false;

  /** @param adopt Takes the addresses, as they are now. */
  constructor(options: AddressesOptions, adopt: (addresses: readonly string[]) => void) {
    const { resolver, wheel } = options;
    this.#options = options;
    this.#resolver = resolver;
    this.#wheel = wheel;
    this.#adopt = adopt;
    this.#again = new Timeout(() => {
      inBackground(this.look(), (error) => {
        this.#report('failed', errorText(error));
      });
    });
    resolver.onChange = () => {
      if (!this.#isStopped) wheel.set(this.#again, 0);
    };
  }

  /** Resolves when the addresses have been adopted, or cannot be known now. */
  look(): Promise<void> {
    this.#lookup ??= this.#look().finally(() => {
      this.#lookup = null;
      if (this.#resolver.changes && !this.#isStopped)
        this.#wheel.set(this.#again, RESOLVE_EVERY_MS);
    });
    return this.#lookup;
  }

  /** An address was lost: perhaps the list has changed. */
  soon(): void {
    if (!this.#resolver.changes || this.#isStopped) return;
    this.#wheel.setAt(this.#again, Math.max(this.#wheel.now(), this.#lookedUpAt) + RESOLVE_SOON_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#wheel.cancel(this.#again);
  }

  #report(state: string, why: string): void {
    this.#options.report.state(this.#options.url, state, why);
  }

  async #look(): Promise<void> {
    this.#lookedUpAt = this.#wheel.now();
    let addresses: readonly string[];
    try {
      addresses = await this.#resolver.resolve();
    } catch (error) {
      this.#reportTrouble(whyUnresolved(error));
      return;
    }
    if (this.#isStopped) return;
    const count = addresses.length;
    this.#reportTrouble(
      count > ADDRESSES_MAX ? `${count} addresses; ${ADDRESSES_MAX} are used` : '',
    );
    this.#adopt(addresses.slice(0, ADDRESSES_MAX));
  }

  /** Each lookup fails for the same reason, mostly. */
  #reportTrouble(trouble: string): void {
    if (trouble === this.#trouble || this.#isStopped) return;
    this.#trouble = trouble;
    if (trouble === '') this.#report('resolved', 'the name resolves again');
    else this.#report('unresolved', trouble);
  }
}

function whyUnresolved(error: unknown): string {
  const { code, hostname = '' } = error as { code?: string; hostname?: string };
  if (code === 'ENOTFOUND' || code === 'ENODATA')
    return `the name ${hostname} does not resolve: correct the address, or check the name server`;
  if (code === 'EAI_AGAIN' || code === 'ETIMEOUT' || code === 'ETIMEDOUT')
    return `the name server did not answer for ${hostname}`;
  return errorText(error);
}
