/** No bus: this gateway is the whole fleet. Everything that needs only one gateway works, with no server at all. */
import type { Bus, PeerReplies } from './bus.ts';
import type { Changes } from './session-commands.ts';
import { type Failure, failure } from '../errors.ts';
import type { SessionJson } from '../contract/json-shapes.ts';

const NOBODY: PeerReplies = { answers: [], silentGateways: [] };

export class EmbeddedBus implements Bus {
  readonly name = 'embedded';
  readonly up = true;
  readonly everUp = true;

  start(): void {}

  add(): null {
    return null;
  }

  remove(): void {}

  push(): null {
    return null;
  }

  pushCounted(): Promise<PeerReplies> {
    return Promise.resolve(NOBODY);
  }

  kick(): Promise<PeerReplies> {
    return Promise.resolve(NOBODY);
  }

  list(): Promise<PeerReplies> {
    return Promise.resolve(NOBODY);
  }

  patchSession(): Promise<Changes | Failure> {
    return Promise.resolve(failure('NO_SESSION'));
  }

  getSession(): Promise<SessionJson | Failure> {
    return Promise.resolve(failure('NO_SESSION'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
