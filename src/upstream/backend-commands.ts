/** What a backend may ask for on its own, over any transport. */
import type { SessionVerb } from '../contract/backend-frames.ts';
import type { Push } from '../contract/commands.ts';
import type { DoneFields, PushedFields } from '../contract/gateway-frames.ts';
import type { BackendReport } from './backend-report.ts';

export interface BackendCommands {
  /** `limits.convert`: the most JSON, in bytes, that is parsed in one command. */
  readonly convertBytesMax: number;
  readonly report: BackendReport;
  /** Pushes without counting; a refusal is only reported. */
  push(push: Push): void;
  /** Pushes on all gateways, and resolves with the counts. Never rejects. */
  pushCounted(push: Push): Promise<PushedFields>;
  /** Resolves when the change is in force. Never rejects. @param isAwaited The backend wants to know what came of it. */
  verb(verb: SessionVerb, isAwaited: boolean): Promise<DoneFields>;
}
