/** What a backend says of itself on a Link, and how it is there. */
import type { LetIn } from './courier.ts';

export type LinkOptions = {
  readonly instance: string;
  readonly features: readonly ('credit' | 'extend')[];
  /** 0: no bound. */
  readonly maxInFlight: number;
  /** Of one that attaches: the backend that it serves, and its token. */
  readonly backend?: string;
  readonly token?: string;
  /** Default: every client is let in. */
  readonly letIn?: LetIn;
};
