/**
 * Looks a backend's name up, again and again where that may give other addresses: one lookup at a time, however slow
 * the name server is, and what was known stays while it says nothing.
 */
import { inBackground } from '../../background.ts';
import { errorText } from '../../errors.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import { RESOLVE_EVERY_MS, RESOLVE_SOON_MS, type Resolver } from './resolver.ts';

/** Addresses of one backend; more are not used. */
export const ADDRESSES_MAX = 1_000;

export interface AddressesEvents {
  /** The addresses, as they are now. */
  onAddresses(addresses: readonly string[]): void;
  /** `state`: unresolved, resolved, failed. */
  onState(state: string, why: string): void;
}

export class Addresses {
  readonly #resolver: Resolver;
  readonly #wheel: TimerWheel;
  readonly #events: AddressesEvents;
  readonly #again: Timeout;
  #lookup: Promise<void> | null = null;
  #lookedUpAt = 0;
  /** Why the last lookup gave nothing, or too much; '' where it was well. */
  #trouble = '';
  #isStopped = false;

  constructor(resolver: Resolver, wheel: TimerWheel, events: AddressesEvents) {
    this.#resolver = resolver;
    this.#wheel = wheel;
    this.#events = events;
    this.#again = new Timeout(() => {
      inBackground(this.look(), (error) => {
        events.onState('failed', errorText(error));
      });
    });
    resolver.onChange = () => {
      if (!this.#isStopped) wheel.set(this.#again, 0);
    };
  }

  /** Resolves when the addresses have been told, or there is no way to know them now. */
  look(): Promise<void> {
    this.#lookup ??= this.#look().finally(() => {
      this.#lookup = null;
      if (this.#resolver.changes && !this.#isStopped)
        this.#wheel.set(this.#again, RESOLVE_EVERY_MS);
    });
    return this.#lookup;
  }

  /** An address is lost: maybe it is no longer there, and others are. */
  soon(): void {
    if (!this.#resolver.changes || this.#isStopped) return;
    this.#wheel.setAt(this.#again, Math.max(this.#wheel.now(), this.#lookedUpAt) + RESOLVE_SOON_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#wheel.cancel(this.#again);
  }

  async #look(): Promise<void> {
    this.#lookedUpAt = this.#wheel.now();
    let addresses: readonly string[];
    try {
      addresses = await this.#resolver.resolve();
    } catch (error) {
      this.#tell(whyUnresolved(error));
      return;
    }
    if (this.#isStopped) return;
    const count = addresses.length;
    this.#tell(count > ADDRESSES_MAX ? `${count} addresses; ${ADDRESSES_MAX} are used` : '');
    this.#events.onAddresses(addresses.slice(0, ADDRESSES_MAX));
  }

  /** Each lookup fails for the same reason, mostly. */
  #tell(trouble: string): void {
    if (trouble === this.#trouble || this.#isStopped) return;
    this.#trouble = trouble;
    if (trouble === '') this.#events.onState('resolved', 'the name is known again');
    else this.#events.onState('unresolved', trouble);
  }
}

function whyUnresolved(error: unknown): string {
  const { code, hostname = '' } = error as { code?: string; hostname?: string };
  if (code === 'ENOTFOUND' || code === 'ENODATA')
    return `the name ${hostname} is unknown: correct the address, or the name server`;
  if (code === 'EAI_AGAIN' || code === 'ETIMEOUT' || code === 'ETIMEDOUT')
    return `the name server did not answer for ${hostname}`;
  return errorText(error);
}
