import type { StageOptions } from '../nats-stage.ts';

export type Row = {
  readonly name: string;
  /** One server, unless it says otherwise. */
  readonly on?: Partial<StageOptions>;
  /** See ../nats-script.ts. At the end nothing may have been heard that no line mentions. */
  readonly script: string;
};
