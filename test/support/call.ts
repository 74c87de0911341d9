/** A call of no relay: for what keeps calls and sends them, and does not ask how they end. */
import { Call } from '../../src/upstream/call.ts';

export class BareCall extends Call {
  /** How it has ended: once. */
  readonly ends: string[] = [];

  override succeed(): void {
    this.ends.push('succeed');
  }

  override fail({ reason }: { readonly reason: string }): void {
    this.ends.push(`fail ${reason}`);
  }

  override answer(): void {
    this.ends.push('answer');
  }

  override sent(): void {
    this.ends.push('sent');
  }

  override onLate(): void {
    this.ends.push('late');
  }
}
